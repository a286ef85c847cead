// The page: photos in, a look before and after, files out.
import {DEFAULTS, Engine} from './engine.js';
import {describe, stops as inStops} from './verdict.js';
import {Viewer} from './viewer.js';

const find = (id) => document.getElementById(id);
const {body} = document;
const engine = new Engine();
const photos = [];
let current = null;
let working = 0;
let opening = Promise.resolve();

const viewer = new Viewer(find('viewer'), (factor, part, which) => {
  if (!current) return null;
  const shown = which === 'after' && find('invented').checked ? 'invented' : which;
  return engine.view(current, factor, part, shown).catch((error) => complain(error.message));
});

/** Runs something that takes time, and says so meanwhile. */
async function busy(text, work) {
  working++;
  body.dataset.state = 'busy';
  say(text);
  try {
    return await work();
  } catch (error) {
    complain(error.message);
  } finally {
    if (--working === 0) {
      body.dataset.state = 'ready';
      say('');
    }
  }
}

function say(text) {
  find('status').textContent = text;
}

function complain(message) {
  const line = document.createElement('div');
  const close = document.createElement('button');
  close.type = 'button';
  close.textContent = 'OK';
  close.setAttribute('aria-label', `Dismiss: ${message}`);
  close.addEventListener('click', () => line.remove());
  line.append(message, close);
  find('errors').append(line);
}

/** Opens files one after the other; the first of them is shown. */
function open(files) {
  find('errors').replaceChildren();
  let first = true;
  for (const file of files) {
    opening = opening.then(() =>
      busy(`Looking at ${file.name} …`, async () => {
        const photo = await engine.open(file);
        add(photo);
        if (first) await select(photo);
        first = false;
      }),
    );
  }
  return opening;
}

function add(photo) {
  photos.push(photo);
  const button = document.createElement('button');
  const icon = document.createElement('canvas');
  const name = document.createElement('span');
  button.type = 'button';
  icon.width = icon.height = photo.icon.width;
  icon.style.aspectRatio = `${photo.width} / ${photo.height}`;
  icon.getContext('bitmaprenderer').transferFromImageBitmap(photo.icon);
  name.textContent = photo.name;
  button.append(icon, name, document.createElement('em'));
  button.addEventListener('click', () => select(photo));
  photo.item = document.createElement('li');
  photo.item.append(button);
  find('strip').append(photo.item);
  mark(photo);
  count();
}

function count() {
  body.dataset.photos = photos.length;
  find('welcome').hidden = photos.length > 0;
  find('viewer').hidden = find('panel').hidden = photos.length === 0;
  for (const id of ['strip', 'same', 'save-all']) find(id).hidden = photos.length < 2;
}

async function select(photo) {
  current = engine.current = photo;
  for (const {item} of photos) {
    item.firstChild.setAttribute('aria-current', String(item === photo?.item));
  }
  if (!photo) return;
  find('note').textContent = '';
  showOptions();
  viewer.show(photo.width, photo.height);
  await busy(`Correcting ${photo.name} …`, () => engine.develop(photo, () => redraw(photo)));
}

function redraw(photo) {
  mark(photo);
  if (photo !== current) return;
  const {title, text} = describe(photo, engine.share(photo));
  find('verdict').querySelector('h2').textContent = title;
  find('verdict').querySelector('p').textContent = text;
  const idle = engine.share(photo) === 0;
  find('force').hidden = !idle;
  find('save').disabled = !engine.changes(photo);
  viewer.refresh();
}

/** Says in the list of photos what becomes of one. */
function mark(photo) {
  photo.item.querySelector('em').textContent = engine.changes(photo)
    ? 'corrected'
    : 'left as it is';
}

/** Puts a photo's options into the controls. */
function showOptions() {
  const {options, verdict} = current;
  find('strength').value = 100 * options.strength;
  find('ev').value = options.ev;
  find('stops').value = options.stops ?? verdict.stops;
  find('judge').checked = options.stops === null;
  showValues();
}

function showValues() {
  const put = (id, text) => {
    document.querySelector(`output[for=${id}]`).value = text;
    find(id).setAttribute('aria-valuetext', text);
  };
  const ev = Number(find('ev').value);
  put('strength', `${find('strength').value} %`);
  put('ev', `${ev > 0 ? '+' : ''}${ev.toFixed(2)} EV`);
  put('stops', inStops(Number(find('stops').value)));
  put('quality', find('quality').value);
}

/** Takes over what the controls say. */
function change(options) {
  if (!current) return;
  Object.assign(current.options, options);
  showValues();
  const photo = current;
  engine.develop(photo, () => redraw(photo)).catch((error) => complain(error.message));
}

async function save(photo) {
  const type = find('type').value;
  const {blob, note} = await engine.save(photo, type, Number(find('quality').value) / 100);
  const link = document.createElement('a');
  link.href = URL.createObjectURL(blob);
  const ending = type === 'image/png' ? 'png' : 'jpg';
  link.download = `${photo.name.replace(/\.[^.]*$/, '')}_corrected.${ending}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  if (photo === current) find('note').textContent = `Saved ${link.download}. ${note}`;
}

async function saveAll() {
  const changed = photos.filter((photo) => engine.changes(photo));
  for (const photo of changed) await save(photo);
  find('note').textContent =
    `${changed.length} saved, ${photos.length - changed.length} left as they are.`;
}

async function close(photo) {
  const index = photos.indexOf(photo);
  photos.splice(index, 1);
  photo.item.remove();
  await engine.close(photo);
  count();
  await select(photos[Math.min(index, photos.length - 1)] ?? null);
}

function listen() {
  for (const id of ['file', 'camera']) {
    find(id).addEventListener('change', (event) => {
      open([...event.target.files]);
      event.target.value = '';
    });
  }
  const page = document.documentElement;
  page.addEventListener('dragover', (event) => {
    event.preventDefault();
    page.classList.add('dragging');
  });
  page.addEventListener('dragleave', () => page.classList.remove('dragging'));
  page.addEventListener('drop', (event) => {
    event.preventDefault();
    page.classList.remove('dragging');
    open([...event.dataTransfer.files]);
  });
  document.addEventListener('paste', (event) => open([...event.clipboardData.files]));
  for (const button of document.querySelectorAll('[data-sample]')) {
    button.addEventListener('click', async () => {
      const name = `${button.dataset.sample}.jpg`;
      const reply = await fetch(`samples/${name}`);
      open([new File([await reply.blob()], name)]);
    });
  }
  find('strength').addEventListener('input', (e) => change({strength: e.target.value / 100}));
  find('ev').addEventListener('input', (e) => change({ev: Number(e.target.value)}));
  find('stops').addEventListener('input', (e) => {
    find('judge').checked = false;
    change({stops: Number(e.target.value)});
  });
  find('judge').addEventListener('change', (e) => {
    if (e.target.checked && current) find('stops').value = current.verdict.stops;
    change({stops: e.target.checked ? null : Number(find('stops').value)});
  });
  find('force').addEventListener('click', () => change({force: true}));
  find('reset').addEventListener('click', () => {
    change(DEFAULTS);
    showOptions();
  });
  find('same').addEventListener('click', () => {
    for (const photo of photos) {
      Object.assign(photo.options, current.options);
      mark(photo);
    }
  });
  find('invented').addEventListener('change', (event) => {
    find('legend').hidden = !event.target.checked;
    viewer.refresh();
  });
  find('type').addEventListener('change', (event) => {
    find('quality-row').hidden = event.target.value === 'image/png';
  });
  find('quality').addEventListener('input', showValues);
  find('panel').addEventListener('submit', (event) => event.preventDefault());
  find('save').addEventListener('click', () => {
    const photo = current;
    busy(`Saving ${photo.name} …`, () => save(photo));
  });
  find('save-all').addEventListener('click', () => busy('Saving …', saveAll));
  find('close').addEventListener('click', () => close(current));
}

/** Lets the page be installed and used without a net. */
async function install() {
  if (!navigator.serviceWorker) return;
  const isFirst = !navigator.serviceWorker.controller;
  await navigator.serviceWorker.register('sw.js');
  await navigator.serviceWorker.ready;
  // Threads need headers that not every server sends; the service worker does.
  if (isFirst && !crossOriginIsolated && !sessionStorage.again && photos.length === 0) {
    sessionStorage.again = '1';
    location.reload();
  }
}

listen();
try {
  const threads = await engine.load();
  body.dataset.threads = threads;
  body.dataset.state = 'ready';
  say('');
} catch (error) {
  complain(`The model cannot be loaded: ${error.message}`);
  body.dataset.state = 'failed';
  say('');
}
install().catch(() => {}); // It works without.
