// Between a photo's colours and sRGB: profiles of three curves and a matrix, as
// in tfexposure/photo/io/colour.py. ICC.1:2022, sections 9.2, 10.6 and 10.18.

const SAMPLES = 4096;
// Light of linear sRGB to XYZ under D50, the ICC's white.
const SRGB_TO_XYZ = [
  [0.4360657, 0.3851515, 0.1430784],
  [0.2224932, 0.716887, 0.0606169],
  [0.013916, 0.0970764, 0.7140961],
];
const NEAR = 2e-3; // So near to sRGB a profile counts as sRGB.

/**
 * Says what a profile asks for: {name, kind, colour}. `kind` is 'sRGB' (also
 * where there is no profile), 'matrix' (then `colour` is a `MatrixColour`) or
 * 'other', which is left to the browser.
 */
export function readProfile(icc) {
  if (!icc) return {name: '', kind: 'sRGB'};
  try {
    const tags = tagsOf(icc);
    const name = nameOf(tags.desc);
    const curves = ['rTRC', 'gTRC', 'bTRC'].map((tag) => tags[tag]);
    const columns = ['rXYZ', 'gXYZ', 'bXYZ'].map((tag) => tags[tag]);
    if (latin(icc, 16, 4) !== 'RGB ' || tags.A2B0 || [...curves, ...columns].includes(undefined)) {
      return {name, kind: 'other'};
    }
    const toXyz = transpose(
      columns.map((tag) => [8, 12, 16].map((at) => tag.getInt32(at) / 65536)),
    );
    const functions = curves.map(curveOf);
    const near = (a, b) => Math.abs(a - b) < NEAR;
    const same =
      toXyz.every((row, i) => row.every((value, j) => near(value, SRGB_TO_XYZ[i][j]))) &&
      functions.every((curve) => spread(256).every((x) => near(curve(x), toLinear(x))));
    if (same) return {name, kind: 'sRGB'};
    return {name, kind: 'matrix', colour: new MatrixColour(functions, toXyz)};
  } catch {
    // A stranger's bytes: the browser has its own opinion of them.
    return {name: 'a damaged profile', kind: 'other'};
  }
}

/** Colours of three curves and a matrix. */
export class MatrixColour {
  #light; // Of each channel's 256 levels.
  #encoded; // Of light, in even steps of its root.
  #toSrgb;
  #fromSrgb;

  constructor(curves, toXyz) {
    this.#light = curves.map((curve) =>
      Float64Array.from({length: 256}, (_, level) => clip(curve(level / 255))),
    );
    this.#encoded = curves.map(inverted);
    this.#toSrgb = product(inverse(SRGB_TO_XYZ), toXyz);
    this.#fromSrgb = inverse(this.#toSrgb);
  }

  /** sRGB values, some perhaps outside [0, 1], of the levels at `i`. */
  #values(data, i, into) {
    const [red, green, blue] = this.#light;
    const r = red[data[i]];
    const g = green[data[i + 1]];
    const b = blue[data[i + 2]];
    for (let row = 0; row < 3; row++) {
      const [x, y, z] = this.#toSrgb[row];
      into[row] = fromLinear(x * r + y * g + z * b);
    }
  }

  /** The same photo in sRGB bytes: RGBA to RGBA. */
  convert({data, width, height}) {
    const result = new Uint8ClampedArray(data.length);
    const values = new Float64Array(3);
    for (let i = 0; i < data.length; i += 4) {
      this.#values(data, i, values);
      for (let c = 0; c < 3; c++) result[i + c] = 255 * values[c];
      result[i + 3] = 255;
    }
    return {data: result, width, height};
  }

  /**
   * Takes an answer in sRGB back to the photo's colours, and mixes it in. Colours
   * outside sRGB keep what sRGB could not show of them.
   *
   * @param answer RGBA bytes in sRGB, which are written over.
   * @param own RGBA bytes of the same pixels in the photo's colours.
   * @param alpha share of the answer.
   */
  mixBack(answer, own, alpha) {
    const values = new Float64Array(3);
    for (let i = 0; i < answer.length; i += 4) {
      this.#values(own, i, values);
      for (let c = 0; c < 3; c++) {
        const seen = Math.round(255 * clip(values[c])) / 255;
        values[c] = toLinear(answer[i + c] / 255 + values[c] - seen);
      }
      for (let c = 0; c < 3; c++) {
        const [x, y, z] = this.#fromSrgb[c];
        const light = clip(x * values[0] + y * values[1] + z * values[2]);
        const level = 255 * read(this.#encoded[c], Math.sqrt(light));
        answer[i + c] = own[i + c] + alpha * (level - own[i + c]);
      }
    }
  }
}

function clip(value) {
  return value < 0 ? 0 : value > 1 ? 1 : value;
}

/** Reads a table of even steps over [0, 1], linear between them. */
function read(table, value) {
  const place = value * SAMPLES;
  const before = place | 0;
  const first = table[before];
  return before >= SAMPLES ? first : first + (place - before) * (table[before + 1] - first);
}

/** `count` even steps from 0 to 1. */
function spread(count) {
  return Array.from({length: count}, (_, i) => i / (count - 1));
}

/** The inverse of a rising curve: a table over the root of light. */
function inverted(curve) {
  const table = new Float64Array(SAMPLES + 1);
  return table.map((_, i) => {
    const light = (i / SAMPLES) ** 2;
    let [low, high] = [0, 1];
    for (let step = 0; step < 30; step++) {
      const middle = (low + high) / 2;
      if (curve(middle) < light) low = middle;
      else high = middle;
    }
    return (low + high) / 2;
  });
}

// sRGB's curve, odd, so that colours outside sRGB are not lost.
const TO_LINEAR = Float64Array.from({length: SAMPLES + 1}, (_, i) => exactToLinear(i / SAMPLES));
const FROM_LINEAR = Float64Array.from({length: SAMPLES + 1}, (_, i) =>
  exactFromLinear((i / SAMPLES) ** 2),
);

function toLinear(value) {
  const size = Math.abs(value);
  return Math.sign(value) * (size < 1 ? read(TO_LINEAR, size) : exactToLinear(size));
}

function fromLinear(light) {
  const size = Math.abs(light);
  return Math.sign(light) * (size < 1 ? read(FROM_LINEAR, Math.sqrt(size)) : exactFromLinear(size));
}

export function exactToLinear(value) {
  return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
}

export function exactFromLinear(light) {
  return light <= 0.0031308 ? light * 12.92 : 1.055 * light ** (1 / 2.4) - 0.055;
}

function tagsOf(icc) {
  const view = new DataView(icc.buffer, icc.byteOffset, icc.byteLength);
  const tags = {};
  for (let i = 0; i < Math.min(view.getUint32(128), 1000); i++) {
    const entry = 132 + 12 * i;
    const start = icc.byteOffset + view.getUint32(entry + 4);
    tags[latin(icc, entry, 4)] = new DataView(icc.buffer, start, view.getUint32(entry + 8));
  }
  return tags;
}

function nameOf(tag) {
  const bytes = new Uint8Array(tag.buffer, tag.byteOffset + 12, tag.byteLength - 12);
  return latin(bytes, 0, bytes.length)
    .replace(/[^\x20-\x7e]/g, '')
    .trim();
}

function latin(bytes, start, length) {
  return String.fromCharCode(...bytes.subarray(start, start + length));
}

/** A tag's curve, from encoded values in [0, 1] to light. */
function curveOf(tag) {
  const kind = tag.getUint32(0);
  if (kind === 0x63757276) return sampledCurve(tag); // 'curv'
  if (kind === 0x70617261) return parametricCurve(tag); // 'para'
  throw new Error('a curve of an unknown kind');
}

function sampledCurve(tag) {
  const count = tag.getUint32(8);
  if (count === 0) return (x) => x;
  const values = Array.from({length: count}, (_, i) => tag.getUint16(12 + 2 * i));
  if (count === 1) return (x) => x ** (values[0] / 256);
  return (x) => {
    const before = Math.min(Math.floor(x * (count - 1)), count - 2);
    const share = x * (count - 1) - before;
    return (values[before] + share * (values[before + 1] - values[before])) / 65535;
  };
}

function parametricCurve(tag) {
  const kind = tag.getUint16(8);
  const count = [1, 3, 4, 5, 7][kind];
  const [g, a = 1, b = 0, c = 0, d = 0, e = 0, f = 0] = Array.from(
    {length: count},
    (_, i) => tag.getInt32(12 + 4 * i) / 65536,
  );
  if (kind === 0) return (x) => x ** g;
  if (kind < 3) return (x) => Math.max(a * x + b, 0) ** g + c;
  return (x) => (x >= d ? Math.max(a * x + b, 0) ** g + e : c * x + f);
}

function transpose(matrix) {
  return matrix[0].map((_, i) => matrix.map((row) => row[i]));
}

function product(a, b) {
  return a.map((row) =>
    transpose(b).map((column) => row.reduce((sum, v, i) => sum + v * column[i], 0)),
  );
}

function inverse([[a, b, c], [d, e, f], [g, h, i]]) {
  const [x, y, z] = [e * i - f * h, f * g - d * i, d * h - e * g];
  const size = a * x + b * y + c * z;
  return [
    [x, c * h - b * i, b * f - c * e],
    [y, a * i - c * g, c * d - a * f],
    [z, b * g - a * h, a * e - b * d],
  ].map((row) => row.map((value) => value / size));
}
