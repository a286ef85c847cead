// The tone curve and the affine coefficients, applied at full size:
// runtime/coefficient_grid.py, for bytes. A byte has 256 values, so all that
// depends on one channel alone is a table.
import {exactFromLinear, exactToLinear} from './colour.js';
import {CLIPPED_LEVEL} from './look.js';
import {curveOf, ramp} from './gate.js';

const CHANNELS = 13; // Per channel three factors and an offset; then the lift.

/** What is made of a photo without the network's help: nothing. */
export const IDENTITY = {
  tone: Float32Array.from({length: 256}, (_, level) => level / 255),
  mask: new Float32Array(256),
  white: new Float32Array(256),
};

/** Tables of the curve, and of how clipped and how near white a level is. */
export function tablesOf({knots, clip, lift}, slopes) {
  const table = (of) => Float32Array.from({length: 256}, (_, level) => of(level / 255));
  return {
    tone: table(curveOf(knots, slopes)),
    mask: table((value) => ramp(value, clip)),
    white: table((value) => ramp(value, [lift, clip[1]]) ** 2),
  };
}

/**
 * Corrects a part of a photo.
 *
 * @param image RGBA {data, width, height}: the photo, or a smaller copy.
 * @param part {top, bottom, left, right}, in the image's pixels.
 * @param place {top, left, step}: where the field begins, in the image's
 *     pixels, and how many of them one of its cells spans.
 * @param grid {tables, field}; `field` is {values, height, width} or null.
 * @param options {alpha, ev, grey}: the share of the answer, stops of light added
 *     to it, and whether its colours are to be taken away.
 * @returns Uint8ClampedArray, RGBA of the part.
 */
export function apply(image, part, place, {tables, field}, {alpha, ev, grey}) {
  const {tone, mask, white} = tables;
  const columns = part.right - part.left;
  const result = new Uint8ClampedArray(4 * columns * (part.bottom - part.top));
  const across = field && neighbours(part.left - place.left, columns, place.step, field.width);
  const line = field && new Float32Array(field.width * CHANNELS);
  const brighter = ev === 0 ? null : brighterTable(ev);
  const {data} = image;
  let to = 0;
  for (let y = part.top; y < part.bottom; y++) {
    if (field) mixRows(line, field, y - place.top, place.step);
    let from = 4 * (y * image.width + part.left);
    for (let x = 0; x < columns; x++, from += 4, to += 4) {
      const r = data[from];
      const g = data[from + 1];
      const b = data[from + 2];
      // The curve.
      let red = tone[r];
      let green = tone[g];
      let blue = tone[b];
      const brightest = r > g ? (r > b ? r : b) : g > b ? g : b;
      // Near white the lift, and the matrix where a channel is clipped.
      if (field && white[brightest] > 0) {
        const at = across.before[x] * CHANNELS;
        const after = across.after[x] * CHANNELS;
        const share = across.share[x];
        const lift = line[at + 12] + share * (line[after + 12] - line[at + 12]);
        let addRed = white[r] * lift;
        let addGreen = white[g] * lift;
        let addBlue = white[b] * lift;
        if (mask[brightest] > 0) {
          const mix = (i, j) =>
            (line[i] + share * (line[j] - line[i])) * red +
            (line[i + 1] + share * (line[j + 1] - line[i + 1])) * green +
            (line[i + 2] + share * (line[j + 2] - line[i + 2])) * blue +
            (line[i + 3] + share * (line[j + 3] - line[i + 3]));
          addRed += mask[r] * mix(at, after);
          addGreen += mask[g] * mix(at + 4, after + 4);
          addBlue += mask[b] * mix(at + 8, after + 8);
        }
        red += addRed;
        green += addGreen;
        blue += addBlue;
      }
      // In [0, 1], with light added, and without colours if there were none.
      red = red < 0 ? 0 : red > 1 ? 1 : red;
      green = green < 0 ? 0 : green > 1 ? 1 : green;
      blue = blue < 0 ? 0 : blue > 1 ? 1 : blue;
      if (brighter) {
        red = brighter[(red * LEVELS + 0.5) | 0];
        green = brighter[(green * LEVELS + 0.5) | 0];
        blue = brighter[(blue * LEVELS + 0.5) | 0];
      }
      if (grey) red = green = blue = 0.2126 * red + 0.7152 * green + 0.0722 * blue;
      // The mixture, rounded and clamped by the array's type.
      result[to] = r + alpha * (red * 255 - r);
      result[to + 1] = g + alpha * (green * 255 - g);
      result[to + 2] = b + alpha * (blue * 255 - b);
      result[to + 3] = 255;
    }
  }
  return result;
}

/** Per pixel of an axis its two neighbours in the grid, and the second's share. */
function neighbours(first, count, step, cells) {
  const [before, after] = [new Int32Array(count), new Int32Array(count)];
  const share = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    const place = Math.min(Math.max((first + i + 0.5) / step - 0.5, 0), cells - 1);
    before[i] = place;
    after[i] = Math.min(before[i] + 1, cells - 1);
    share[i] = place - before[i];
  }
  return {before, after, share};
}

/** Writes the field's values at one row of pixels into `line`. */
function mixRows(line, field, row, step) {
  const {before, after, share} = neighbours(row, 1, step, field.height);
  const [upper, lower] = [before[0] * line.length, after[0] * line.length];
  const {values} = field;
  for (let i = 0; i < line.length; i++) {
    line[i] = values[upper + i] * (1 - share[0]) + values[lower + i] * share[0];
  }
}

const LEVELS = 65535;

let lastTable = {};

/** Adds stops of light to sRGB-encoded values: a table of `LEVELS` + 1. */
function brighterTable(ev) {
  if (lastTable.ev === ev) return lastTable.table;
  const gain = 2 ** ev;
  const table = Float32Array.from({length: LEVELS + 1}, (_, level) =>
    exactFromLinear(gain * exactToLinear(level / LEVELS)),
  );
  lastTable = {ev, table};
  return table;
}

const LOST = [255, 0, 255];
const PARTLY = [255, 140, 0];

/**
 * Draws over an answer, RGBA, what of it is invented: where the photo has all
 * channels clipped in magenta, some in orange, as strongly as `alpha`, the share
 * of the answer; the rest, which is recovered, in grey.
 */
export function markInvented(answer, image, part, alpha) {
  let to = 0;
  for (let y = part.top; y < part.bottom; y++) {
    let from = 4 * (y * image.width + part.left);
    for (let x = part.left; x < part.right; x++, from += 4, to += 4) {
      const grey = 0.7 * (0.2126 * answer[to] + 0.7152 * answer[to + 1] + 0.0722 * answer[to + 2]);
      let lost = 0;
      for (let c = 0; c < 3; c++) lost += image.data[from + c] >= CLIPPED_LEVEL;
      const colour = lost === 3 ? LOST : PARTLY;
      const tint = lost ? 0.65 * alpha : 0;
      for (let c = 0; c < 3; c++) answer[to + c] = grey + tint * (colour[c] - grey);
    }
  }
  return answer;
}
