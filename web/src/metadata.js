// What a photo's file says beside its pixels, carried over to the answer's file.
// JPEG's segments go byte for byte, but for what is no longer true: the pixels of
// the answer are upright, and a thumbnail would show the photo as it was.

const ASCII = new TextDecoder('latin1');
const EXIF = 'Exif\0\0';
const XMP = 'http://ns.adobe.com/xap/1.0/\0';
const EXTENDED_XMP = 'http://ns.adobe.com/xmp/extension/\0';
const ICC = 'ICC_PROFILE\0';
const LEFT_OUT = ['MPF\0', 'urn:iso:std:iso:ts:21496:-1\0']; // Further pictures.
const XMP_CHUNK = 'XML:com.adobe.xmp\0\0\0\0\0';
const LONGEST = 65533; // Bytes of a segment.

/**
 * Reads metadata of a JPEG, PNG or WebP file:
 * {segments, exif, icc, xmp, grey}. `segments` are JPEG's own, [marker, payload];
 * other formats have none. Blocks that are not there are undefined.
 */
export async function readMetadata(bytes) {
  try {
    if (bytes[0] === 0xff && bytes[1] === 0xd8) return ofJpeg(bytes);
    if (text(bytes, 1, 3) === 'PNG') return await ofPng(bytes);
    if (text(bytes, 0, 4) === 'RIFF' && text(bytes, 8, 4) === 'WEBP') return ofWebp(bytes);
  } catch {
    // A damaged file that the browser reads all the same: its pixels count.
  }
  return {segments: [], grey: false};
}

function ofJpeg(bytes) {
  const {segments, components} = jpegSegments(bytes);
  const body = (prefix) =>
    segments.find(([, payload]) => starts(payload, prefix))?.[1].subarray(prefix.length);
  const profiles = segments
    .filter(([, payload]) => starts(payload, ICC))
    .sort(([, a], [, b]) => a[ICC.length] - b[ICC.length])
    .map(([, payload]) => payload.subarray(ICC.length + 2));
  return {
    segments,
    exif: body(EXIF),
    xmp: body(XMP),
    icc: profiles.length ? join(profiles) : undefined,
    grey: components === 1,
  };
}

/** The segments before the first scan, and how many components that has. */
function jpegSegments(bytes) {
  const segments = [];
  let components = 3;
  let at = 2;
  while (at + 4 <= bytes.length && bytes[at] === 0xff) {
    const marker = bytes[at + 1];
    if (marker === 0xff) {
      at++;
      continue;
    }
    if (marker === 0xda || marker === 0xd9) break;
    const length = (bytes[at + 2] << 8) | bytes[at + 3];
    const payload = bytes.subarray(at + 4, at + 2 + length);
    if (length < 2 || payload.length !== length - 2) break;
    const frame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (frame) components = payload[5];
    // JFIF's and Adobe's belong to the coding of the colours.
    const kept = (marker > 0xe0 && marker <= 0xef && marker !== 0xee) || marker === 0xfe;
    // Content credentials (C2PA) are signed for the photo as it was.
    const claim = marker === 0xeb && ASCII.decode(payload.subarray(0, 256)).includes('c2pa');
    if (kept && !claim && !LEFT_OUT.some((prefix) => starts(payload, prefix))) {
      segments.push([marker, payload.slice()]);
    }
    at += 2 + length;
  }
  return {segments, components};
}

function* pngChunks(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 8; at + 12 <= bytes.length;) {
    const length = view.getUint32(at);
    yield {kind: text(bytes, at + 4, 4), body: bytes.subarray(at + 8, at + 8 + length), at};
    at += 12 + length;
  }
}

async function ofPng(bytes) {
  const found = {segments: [], grey: false};
  for (const {kind, body} of pngChunks(bytes)) {
    if (kind === 'IHDR') found.grey = body[9] === 0 || body[9] === 4;
    if (kind === 'eXIf') found.exif = body.slice();
    if (kind === 'iCCP') found.icc = await unpacked(body.subarray(body.indexOf(0) + 2));
    if (kind === 'iTXt' && starts(body, 'XML:com.adobe.xmp\0\0\0')) {
      let at = 20;
      for (let zeros = 0; zeros < 2; at++) if (body[at] === 0) zeros++;
      found.xmp = body.slice(at);
    }
  }
  return found;
}

function ofWebp(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const found = {segments: [], grey: false};
  for (let at = 12; at + 8 <= bytes.length;) {
    const length = view.getUint32(at + 4, true);
    const body = bytes.slice(at + 8, at + 8 + length);
    const kind = text(bytes, at, 4);
    if (kind === 'EXIF') found.exif = starts(body, EXIF) ? body.slice(EXIF.length) : body;
    if (kind === 'ICCP') found.icc = body;
    if (kind === 'XMP ') found.xmp = body;
    at += 8 + length + (length % 2);
  }
  return found;
}

/**
 * Puts metadata into a file that the browser wrote, a JPEG or PNG without any.
 * `keepIcc`: whether the pixels are still in the profile's colours.
 */
export function withMetadata(bytes, type, metadata, keepIcc) {
  const icc = keepIcc ? metadata.icc : undefined;
  if (type === 'image/png') return intoPng(bytes, metadata, icc);
  return intoJpeg(bytes, metadata, icc);
}

function intoJpeg(bytes, {segments, exif, xmp}, icc) {
  const upright = segments
    .filter(([, payload]) => icc || !starts(payload, ICC))
    .map(([marker, payload]) => [marker, uprightSegment(payload)]);
  const made = segments.length ? upright : newSegments(exif, xmp, icc);
  const parts = made.map(([marker, payload]) =>
    join([
      Uint8Array.of(0xff, marker, (payload.length + 2) >> 8, (payload.length + 2) & 255),
      payload,
    ]),
  );
  // Behind JFIF's own segment.
  const start = bytes[3] === 0xe0 ? 4 + ((bytes[4] << 8) | bytes[5]) : 2;
  return join([bytes.subarray(0, start), ...parts, withoutIcc(bytes.subarray(start))]);
}

/** Leaves out the profile that some browsers write by themselves. */
function withoutIcc(bytes) {
  if (bytes[0] !== 0xff || bytes[1] !== 0xe2 || !starts(bytes.subarray(4), ICC)) return bytes;
  return withoutIcc(bytes.subarray(2 + ((bytes[2] << 8) | bytes[3])));
}

function newSegments(exif, xmp, icc) {
  const segments = [];
  const add = (body) => body.length <= LONGEST && segments.push([0xe1, body]);
  if (exif) add(join([latin(EXIF), uprightExif(exif)]));
  if (xmp) add(join([latin(XMP), uprightXmp(xmp)]));
  if (icc) {
    const size = LONGEST - ICC.length - 2;
    const count = Math.ceil(icc.length / size);
    for (let i = 0; i < count; i++) {
      const head = join([latin(ICC), Uint8Array.of(i + 1, count)]);
      segments.push([0xe2, join([head, icc.subarray(i * size, (i + 1) * size)])]);
    }
  }
  return segments;
}

function uprightSegment(payload) {
  if (starts(payload, EXIF)) {
    return join([latin(EXIF), uprightExif(payload.subarray(EXIF.length))]);
  }
  if (starts(payload, XMP) && !starts(payload, EXTENDED_XMP)) {
    return join([latin(XMP), uprightXmp(payload.subarray(XMP.length))]);
  }
  return payload;
}

/** EXIF that says its pixels are upright, without its thumbnail, else as it was. */
function uprightExif(exif) {
  const result = exif.slice();
  const view = new DataView(result.buffer);
  const little = text(exif, 0, 2) === 'II';
  const at = view.getUint32(4, little);
  if (at + 2 > exif.length) return result;
  const count = view.getUint16(at, little);
  for (let i = 0; i < count; i++) {
    const entry = at + 2 + 12 * i;
    if (entry + 12 > exif.length) break;
    if (view.getUint16(entry, little) === 0x0112) view.setUint16(entry + 8, 1, little);
  }
  // The next directory is the thumbnail's.
  const next = at + 2 + 12 * count;
  if (next + 4 <= exif.length) view.setUint32(next, 0, little);
  return result;
}

/** The same of an XMP packet; one byte changes. */
function uprightXmp(xmp) {
  const result = xmp.slice();
  for (const found of ASCII.decode(xmp).matchAll(/tiff:Orientation(?:\s*=\s*["']|>)\s*([1-8])/g)) {
    result[found.index + found[0].length - 1] = 0x31;
  }
  return result;
}

async function intoPng(bytes, {exif, xmp}, icc) {
  const chunks = [];
  if (icc) chunks.push(chunk('iCCP', join([latin('icc\0\0'), await packed(icc)])));
  if (exif) chunks.push(chunk('eXIf', uprightExif(exif)));
  if (xmp) chunks.push(chunk('iTXt', join([latin(XMP_CHUNK), uprightXmp(xmp)])));
  const end = 33; // Behind the signature and IHDR.
  const own = ['iCCP', 'sRGB', 'gAMA', 'cHRM', 'cICP'];
  const rest = [...pngChunks(bytes)]
    .filter(({kind}) => kind !== 'IHDR' && !(icc && own.includes(kind)))
    .map(({at, body}) => bytes.subarray(at, at + 12 + body.length));
  return join([bytes.subarray(0, end), ...chunks, ...rest]);
}

function chunk(kind, body) {
  const named = join([latin(kind), body]);
  const sized = new Uint8Array(named.length + 8);
  const view = new DataView(sized.buffer);
  view.setUint32(0, body.length);
  sized.set(named, 4);
  view.setUint32(named.length + 4, crc(named));
  return sized;
}

const CRC_TABLE = Uint32Array.from({length: 256}, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});

function crc(bytes) {
  let sum = 0xffffffff;
  for (const byte of bytes) sum = CRC_TABLE[(sum ^ byte) & 255] ^ (sum >>> 8);
  return (sum ^ 0xffffffff) >>> 0;
}

function unpacked(bytes) {
  return through(bytes, new DecompressionStream('deflate'));
}

function packed(bytes) {
  return through(bytes, new CompressionStream('deflate'));
}

async function through(bytes, stream) {
  return new Uint8Array(
    await new Response(new Blob([bytes]).stream().pipeThrough(stream)).arrayBuffer(),
  );
}

function starts(bytes, prefix) {
  return text(bytes, 0, prefix.length) === prefix;
}

function text(bytes, start, length) {
  return ASCII.decode(bytes.subarray(start, start + length));
}

function latin(value) {
  return Uint8Array.from(value, (letter) => letter.charCodeAt(0));
}

function join(parts) {
  const result = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    result.set(part, at);
    at += part.length;
  }
  return result;
}
