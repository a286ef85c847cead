// A worker that has the photos' pixels: reads files, looks, applies, writes.
import {readProfile} from './colour.js';
import {judge} from './gate.js';
import {apply, IDENTITY, markInvented, tablesOf} from './grid.js';
import {areaResize, blockMeans, clippedShare, makeThumbnail, reduction, shrink} from './look.js';
import {readMetadata, withMetadata} from './metadata.js';
import {serve, Transfer} from './rpc.js';
import {findSurround} from './surround.js';

const MAX_PIXELS = 100e6; // Four bytes each, and as many again to write them.
const STRIP_PIXELS = 1 << 21;
const ICON = 96;

const photos = new Map(); // id -> what stays of a photo while another is seen.
// The pixels of one photo: {id, image, own, copies}; `image` is in sRGB, `own` in
// the photo's colours, `copies` are smaller ones by factor.
let held;
let manifest;

serve({setManifest, open, decide, reduced, develop, forget, view, save});

function setManifest(found) {
  manifest = found;
}

/** Reads a photo and looks at it. */
async function open(id, file) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  const metadata = await readMetadata(bytes);
  const photo = {file, metadata, profile: readProfile(metadata.icc)};
  await hold(id, photo);
  const {image, own} = held;
  const around = findSurround(own);
  const {box} = around;
  photo.box = box;
  photo.factor = reduction(box.bottom - box.top, box.right - box.left);
  photo.grid = {tables: IDENTITY, field: null};
  photos.set(id, photo);
  const thumbnail = makeThumbnail(image, box, manifest.thumbnail, manifest.clip_share);
  const icon = await iconOf(image);
  photo.isPage = around.page;
  const facts = {
    clipped: clippedShare(own, box),
    framed: around.framed,
    width: image.width,
    height: image.height,
    profile: photo.profile.kind === 'sRGB' ? '' : photo.profile.name,
    keepsProfile: photo.profile.kind !== 'other',
    thumbnail,
    icon,
  };
  return new Transfer(facts, [icon]);
}

/** Says what becomes of a photo by what the network told: see `judge`. */
function decide(id, told) {
  return judge(told, photos.get(id).isPage);
}

/** Reads a photo's pixels in place of those of another. */
async function hold(id, {file, metadata, profile: {kind, colour}}) {
  held = undefined; // Its memory first.
  // Without a profile that is known here the browser decides.
  const known = metadata.icc && kind !== 'other';
  const own = await decode(file, {colorSpaceConversion: known ? 'none' : 'default'});
  const image = colour ? colour.convert(own) : own;
  held = {id, image, own, copies: new Map([[1, image]])};
}

/** Upright pixels, without a canvas larger than a strip. */
async function decode(file, how) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, {imageOrientation: 'from-image', ...how});
  } catch {
    throw new Error(`${file.name}: this browser cannot read it as a photo.`);
  }
  const {width, height} = bitmap;
  try {
    if (width * height > MAX_PIXELS) {
      const megapixels = Math.round((width * height) / 1e6);
      throw new Error(`${file.name}: ${megapixels} megapixels are more than a browser can hold.`);
    }
    const data = new Uint8ClampedArray(4 * width * height);
    const rows = Math.max(1, Math.floor(STRIP_PIXELS / width));
    const canvas = new OffscreenCanvas(width, Math.min(rows, height));
    const context = canvas.getContext('2d', {willReadFrequently: true, alpha: false});
    for (let top = 0; top < height; top += rows) {
      // What is transparent becomes white.
      context.fillStyle = 'white';
      context.fillRect(0, 0, canvas.width, canvas.height);
      context.drawImage(bitmap, 0, -top);
      const count = Math.min(rows, height - top);
      data.set(context.getImageData(0, 0, width, count).data, 4 * top * width);
    }
    return {data, width, height};
  } finally {
    bitmap.close();
  }
}

function iconOf(image) {
  const box = {top: 0, left: 0, bottom: image.height, right: image.width};
  const small = areaResize(image, box, ICON);
  const data = new Uint8ClampedArray(ICON * ICON * 4).fill(255);
  for (let i = 0; i < ICON * ICON; i++) {
    for (let c = 0; c < 3; c++) data[4 * i + c] = 255 * small[3 * i + c];
  }
  return createImageBitmap(new ImageData(data, ICON));
}

/** A photo, its pixels read again where another's took their place. */
async function take(id) {
  const photo = photos.get(id);
  if (!photo) throw new Error('This photo has been closed.');
  if (held?.id !== id) await hold(id, photo);
  return photo;
}

/** The photo at the size that the network sees. */
async function reduced(id) {
  const photo = await take(id);
  const found = blockMeans(held.image, photo.box, photo.factor);
  return new Transfer(found, [found.image.buffer]);
}

/**
 * Gives a photo its curve and coefficients. Without `field` those it has stay;
 * `slopes` null takes both away.
 */
function develop(id, slopes, field) {
  const photo = photos.get(id);
  if (!photo) return;
  if (!slopes) {
    photo.grid = {tables: IDENTITY, field: null};
    return;
  }
  const tables = tablesOf(manifest.guide, slopes);
  const {values, height, width} = field ?? photo.grid.field ?? {};
  photo.grid = {tables, field: values ? {values, height, width} : null};
}

function forget(id) {
  photos.delete(id);
  if (held?.id === id) held = undefined;
}

/**
 * Draws a part of a photo as it was or as it becomes: an ImageBitmap.
 *
 * @param factor how many of the photo's pixels one of the screen's averages.
 * @param part {top, bottom, left, right} in pixels of that size.
 * @param options null for the photo as it was; else {alpha, ev, invented}.
 */
async function view(id, factor, part, options) {
  const photo = await take(id);
  if (!held.copies.has(factor)) held.copies.set(factor, shrink(held.image, factor));
  const image = held.copies.get(factor);
  const data = options ? restored(photo, image, factor, part, options) : copy(image, part);
  const bitmap = await createImageBitmap(new ImageData(data, part.right - part.left));
  return new Transfer(bitmap, [bitmap]);
}

/** A part of an image, corrected but for the white frame around the photo. */
function restored(photo, image, factor, part, {alpha, ev, invented}) {
  const box = {
    top: Math.ceil(photo.box.top / factor),
    bottom: Math.ceil(photo.box.bottom / factor),
    left: Math.ceil(photo.box.left / factor),
    right: Math.ceil(photo.box.right / factor),
  };
  const place = {
    top: photo.box.top / factor,
    left: photo.box.left / factor,
    step: (2 * photo.factor) / factor,
  };
  const inside = {
    top: Math.max(part.top, box.top),
    bottom: Math.max(Math.min(part.bottom, box.bottom), part.top),
    left: Math.max(part.left, box.left),
    right: Math.max(Math.min(part.right, box.right), part.left),
  };
  const options = {alpha, ev, grey: photo.metadata.grey};
  const draw = (piece) => {
    const answer = alpha > 0 ? apply(image, piece, place, photo.grid, options) : copy(image, piece);
    return invented ? markInvented(answer, image, piece, photo.grid.field ? alpha : 0) : answer;
  };
  const whole = ['top', 'bottom', 'left', 'right'].every((side) => inside[side] === part[side]);
  if (whole) return draw(part);
  const result = copy(image, part);
  if (inside.top < inside.bottom && inside.left < inside.right) {
    paste(result, part, draw(inside), inside);
  }
  return result;
}

function copy({data, width}, part) {
  const columns = part.right - part.left;
  const result = new Uint8ClampedArray(4 * columns * (part.bottom - part.top));
  for (let y = part.top, to = 0; y < part.bottom; y++, to += 4 * columns) {
    const from = 4 * (y * width + part.left);
    result.set(data.subarray(from, from + 4 * columns), to);
  }
  return result;
}

function paste(data, part, piece, inside) {
  const columns = inside.right - inside.left;
  for (let y = inside.top, from = 0; y < inside.bottom; y++, from += 4 * columns) {
    const to = 4 * ((y - part.top) * (part.right - part.left) + inside.left - part.left);
    data.set(piece.subarray(from, from + 4 * columns), to);
  }
}

/**
 * Writes the answer as a file, with the metadata of the photo's: {blob, note}.
 * @param type 'image/jpeg' or 'image/png'.
 * @param quality of JPEG, 0 to 1.
 */
async function save(id, options, type, quality) {
  const photo = await take(id);
  const {width, height} = held.image;
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext('2d', {alpha: false, willReadFrequently: true});
  const rows = Math.max(1, Math.floor(STRIP_PIXELS / width));
  for (let top = 0; top < height; top += rows) {
    const part = {top, bottom: Math.min(top + rows, height), left: 0, right: width};
    context.putImageData(new ImageData(written(photo, part, options), width), 0, top);
  }
  const plain = await canvas.convertToBlob({type, quality});
  if (plain.type !== type) throw new Error(`This browser cannot write ${type}.`);
  const keepIcc = photo.profile.kind !== 'other';
  const coded = new Uint8Array(await plain.arrayBuffer());
  const bytes = await withMetadata(coded, type, photo.metadata, keepIcc);
  return {
    blob: new Blob([bytes], {type}),
    note: keepIcc ? '' : `Colours converted from ${photo.profile.name} to sRGB.`,
  };
}

/** Corrected pixels as they are written: in the photo's colours where known. */
function written(photo, part, options) {
  const {colour} = photo.profile;
  if (options.alpha === 0) return copy(held.own, part);
  if (!colour) return restored(photo, held.image, 1, part, options);
  const answer = restored(photo, held.image, 1, part, {...options, alpha: 1});
  colour.mixBack(answer, copy(held.own, part), options.alpha);
  return answer;
}
