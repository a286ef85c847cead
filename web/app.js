// The page: a photo in, a slider between before and after.
import {Restorer} from './model.js';

const MAX_PIXELS = 16e6; // What phones' browsers can draw.
const find = (id) => document.getElementById(id);
const status = find('status');
let restorer;
let name = 'photo';

function say(text, isError = false) {
  status.textContent = text;
  status.classList.toggle('error', isError);
}

/** Decodes a file, upright and in sRGB, into pixels no larger than allowed. */
async function read(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, {imageOrientation: 'from-image'});
  } catch {
    throw new Error(`${file.name}: this browser cannot read it as a picture.`);
  }
  const shrink = Math.min(1, Math.sqrt(MAX_PIXELS / (bitmap.width * bitmap.height)));
  const width = Math.max(1, Math.floor(bitmap.width * shrink));
  const height = Math.max(1, Math.floor(bitmap.height * shrink));
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext('2d', {willReadFrequently: true});
  context.fillStyle = 'white';
  context.fillRect(0, 0, width, height);
  context.drawImage(bitmap, 0, 0, width, height);
  bitmap.close();
  return {picture: context.getImageData(0, 0, width, height), shrunk: shrink < 1};
}

function draw(canvas, picture) {
  canvas.width = picture.width;
  canvas.height = picture.height;
  canvas.getContext('2d').putImageData(picture, 0, 0);
}

function slide() {
  find('after').style.clipPath = `inset(0 0 0 ${find('slider').value}%)`;
  find('line').style.left = `${find('slider').value}%`;
}

async function correct(file) {
  document.body.dataset.state = 'busy';
  try {
    const {picture, shrunk} = await read(file);
    name = file.name.replace(/\.[^.]*$/, '');
    draw(find('before'), picture);
    draw(find('after'), picture);
    find('stage').hidden = false;
    const start = performance.now();
    const restored = await restorer.restore(picture, (share) => {
      say(`Correcting … ${Math.round(100 * share)} %`);
      find('bar').value = share;
    });
    draw(find('after'), restored);
    const seconds = ((performance.now() - start) / 1000).toFixed(1);
    say(
      `${picture.width} × ${picture.height} pixels in ${seconds} s. ` +
        (shrunk ? 'Made smaller to fit this browser. ' : '') +
        'The photo has not left this device.',
    );
    find('save').hidden = false;
    document.body.dataset.state = 'done';
  } catch (error) {
    say(error.message, true);
    document.body.dataset.state = 'failed';
  }
}

function save() {
  find('after').toBlob(
    (blob) => {
      const link = document.createElement('a');
      link.href = URL.createObjectURL(blob);
      link.download = `${name}_corrected.jpg`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    },
    'image/jpeg',
    0.95,
  );
}

function listen() {
  for (const id of ['file', 'camera']) {
    find(id).addEventListener('change', (event) => {
      const [file] = event.target.files;
      if (file) correct(file);
      event.target.value = '';
    });
  }
  const drop = document.documentElement;
  drop.addEventListener('dragover', (event) => {
    event.preventDefault();
    drop.classList.add('dragging');
  });
  drop.addEventListener('dragleave', () => drop.classList.remove('dragging'));
  drop.addEventListener('drop', (event) => {
    event.preventDefault();
    drop.classList.remove('dragging');
    const [file] = event.dataTransfer.files;
    if (file && document.body.dataset.state !== 'busy') correct(file);
  });
  find('slider').addEventListener('input', slide);
  find('save').addEventListener('click', save);
}

listen();
slide();
try {
  restorer = await Restorer.load('./model.tflite');
  say('Drop a photo here, or choose one.');
  document.body.dataset.state = 'ready';
} catch (error) {
  say(`The model cannot be loaded: ${error.message}`, true);
  document.body.dataset.state = 'failed';
}
