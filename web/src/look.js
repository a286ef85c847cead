// What the network needs to know of a photo, of RGBA bytes in sRGB. The formulas
// are those of tfexposure/imaging and tfexposure/runtime/coefficient_grid.py.
// A `box` is {top, bottom, left, right}: the photo without a white frame.

const MAX_PIXELS = 1 << 20; // That the network sees.
export const CLIPPED_LEVEL = 250;

/** The whole factor by which sides shrink to `MAX_PIXELS` or fewer. */
export function reduction(height, width) {
  return Math.max(1, Math.ceil(Math.sqrt((height * width) / MAX_PIXELS)));
}

/**
 * The share of a photo's pixels that have a clipped channel.
 * `data` are the bytes in the photo's own colours.
 */
export function clippedShare({data, width}, box) {
  let clipped = 0;
  for (let y = box.top; y < box.bottom; y++) {
    const end = 4 * (y * width + box.right);
    for (let i = 4 * (y * width + box.left); i < end; i += 4) {
      const brightest = Math.max(data[i], data[i + 1], data[i + 2]);
      if (brightest >= CLIPPED_LEVEL) clipped++;
    }
  }
  return clipped / ((box.bottom - box.top) * (box.right - box.left));
}

/**
 * Averages a photo by area to `side` squared pixels of RGB in [0, 1]; pixels
 * that are covered in part count by their share.
 */
export function areaResize({data, width}, box, side) {
  const result = new Float64Array(side * side * 3);
  const high = box.bottom - box.top;
  const wide = box.right - box.left;
  const line = new Float64Array(wide * 3);
  for (let row = 0; row < side; row++) {
    line.fill(0);
    for (const [y, share] of covered(row, high, side)) {
      let from = 4 * ((box.top + y) * width + box.left);
      for (let i = 0; i < line.length; i += 3, from += 4) {
        line[i] += share * data[from];
        line[i + 1] += share * data[from + 1];
        line[i + 2] += share * data[from + 2];
      }
    }
    for (let column = 0; column < side; column++) {
      const to = 3 * (row * side + column);
      for (const [x, share] of covered(column, wide, side)) {
        for (let c = 0; c < 3; c++) result[to + c] += (share * line[3 * x + c]) / 255;
      }
    }
  }
  return result;
}

/** Pixels of a side of `length` in one of `size` means, each with its share. */
function covered(index, length, size) {
  const step = length / size;
  const low = index * step;
  const found = [];
  for (let i = Math.floor(low); i < Math.min(Math.ceil(low + step), length); i++) {
    const shared = Math.min(low + step, i + 1) - Math.max(low, i);
    if (shared > 0) found.push([i, shared / step]);
  }
  return found;
}

/**
 * Makes the small copy of nine channels that the network looks at first: of each
 * 2 x 2 pixels the means, the shares that are clipped, and the last one.
 * `clipShare`: the value up to which nothing counts as clipped, and that from
 * which all does.
 */
export function makeThumbnail(image, box, side, clipShare) {
  const [low, high] = clipShare;
  const view = areaResize(image, box, 2 * side);
  const result = new Float32Array(side * side * 9);
  for (let y = 0; y < 2 * side; y++) {
    for (let x = 0; x < 2 * side; x++) {
      const to = 9 * ((y >> 1) * side + (x >> 1));
      for (let channel = 0; channel < 3; channel++) {
        const value = view[3 * (y * 2 * side + x) + channel];
        const share = Math.min(Math.max((value - low) / (high - low), 0), 1);
        result[to + channel] += value / 4;
        result[to + channel + 3] += share / 4;
        // What is written last stays.
        result[to + channel + 6] = value;
      }
    }
  }
  return result;
}

/**
 * Averages squares of `factor` pixels, those cut by the border over what is
 * there: {image, height, width}, RGB in [0, 1].
 */
export function blockMeans({data, width}, box, factor) {
  const high = box.bottom - box.top;
  const wide = box.right - box.left;
  const [rows, columns] = [Math.ceil(high / factor), Math.ceil(wide / factor)];
  const image = new Float32Array(rows * columns * 3);
  const sums = new Uint32Array(columns * 3);
  for (let row = 0; row < rows; row++) {
    const lines = Math.min(factor, high - row * factor);
    sums.fill(0);
    for (let y = 0; y < lines; y++) {
      let from = 4 * ((box.top + row * factor + y) * width + box.left);
      for (let column = 0; column < columns; column++) {
        const end = Math.min((column + 1) * factor, wide);
        let r = 0;
        let g = 0;
        let b = 0;
        for (let x = column * factor; x < end; x++, from += 4) {
          r += data[from];
          g += data[from + 1];
          b += data[from + 2];
        }
        sums[3 * column] += r;
        sums[3 * column + 1] += g;
        sums[3 * column + 2] += b;
      }
    }
    for (let column = 0; column < columns; column++) {
      const count = lines * (Math.min((column + 1) * factor, wide) - column * factor) * 255;
      const to = 3 * (row * columns + column);
      for (let c = 0; c < 3; c++) image[to + c] = sums[3 * column + c] / count;
    }
  }
  return {image, height: rows, width: columns};
}

/** A smaller copy for the screen, RGBA, of squares of `factor` pixels. */
export function shrink(image, factor) {
  const box = {top: 0, left: 0, bottom: image.height, right: image.width};
  const {image: means, height, width} = blockMeans(image, box, factor);
  const data = new Uint8ClampedArray(4 * height * width);
  for (let from = 0, to = 0; from < means.length; from += 3, to += 4) {
    for (let c = 0; c < 3; c++) data[to + c] = 255 * means[from + c];
    data[to + 3] = 255;
  }
  return {data, width, height};
}
