// Pictures of any size through a network of one size: the same plan as
// tfexposure/photo/tiling.py. Tiles are cropped out of windows that reach one
// halo beyond them, so they join without a seam.

/** Reflects an index beyond `length` back into it, the border not repeated. */
export function mirror(index, length) {
  const period = Math.max(2 * (length - 1), 1);
  index %= period;
  return index < length ? index : period - index;
}

/**
 * Splits one axis of `length` pixels into tiles.
 * Returns [{start, stop, window}]: the tile, and where its window of `size`
 * pixels begins.
 */
export function plan(length, size, halo, stride) {
  const up = (value) => Math.ceil(value / stride) * stride;
  halo = up(halo);
  const padded = Math.max(up(length), size);
  const tile = padded === size ? size : Math.floor((size - 2 * halo) / stride) * stride;
  if (tile < stride) {
    throw new Error(`A window of ${size} pixels leaves nothing between two halos of ${halo}.`);
  }
  const spans = [];
  for (let start = 0; start < length; start += tile) {
    spans.push({
      start,
      stop: Math.min(start + tile, length),
      window: Math.min(Math.max(start - halo, 0), padded - size),
    });
  }
  return spans;
}

/** Cuts one window out of RGBA pixels, as RGB values times `scale`. */
export function cut({data, width, height}, top, left, size, scale, Type) {
  const window = new Type(size * size * 3);
  let to = 0;
  for (let row = 0; row < size; row++) {
    const line = mirror(top + row, height) * width;
    for (let column = 0; column < size; column++) {
      const from = 4 * (line + mirror(left + column, width));
      window[to++] = data[from] * scale;
      window[to++] = data[from + 1] * scale;
      window[to++] = data[from + 2] * scale;
    }
  }
  return window;
}

/** Puts a tile, cut out of its window, into RGBA pixels. */
export function paste(window, size, scale, {data, width}, row, column) {
  for (let y = row.start; y < row.stop; y++) {
    let from = 3 * ((y - row.window) * size + column.start - column.window);
    let to = 4 * (y * width + column.start);
    for (let x = column.start; x < column.stop; x++) {
      // Clamped and rounded by the array's type.
      data[to++] = window[from++] * scale;
      data[to++] = window[from++] * scale;
      data[to++] = window[from++] * scale;
      data[to++] = 255;
    }
  }
}

/**
 * Reduces a whole picture to `side` squared pixels of nine channels, by way of
 * twice the side: of each four pixels the mean values, the mean share that is
 * clipped (from the first value of `clipShare` on, and fully from the second),
 * and the last pixel as it is.
 */
export function thumbnail({data, width, height}, side, clipShare) {
  const [low, high] = clipShare;
  const result = new Float32Array(side * side * 9);
  const view = reduced({data, width, height}, 2 * side);
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

/** Averages RGBA bytes to `side` squared pixels of RGB in [0, 1]. */
function reduced({data, width, height}, side) {
  const result = new Float64Array(side * side * 3);
  const columns = averaging(width, side);
  const rows = averaging(height, side);
  const line = new Float64Array(side * 3);
  for (let y = 0; y < height; y++) {
    line.fill(0);
    for (let x = 0; x < width; x++) {
      const from = 4 * (y * width + x);
      for (const [column, weight] of columns[x]) {
        for (let channel = 0; channel < 3; channel++) {
          line[3 * column + channel] += (weight * data[from + channel]) / 255;
        }
      }
    }
    for (const [row, weight] of rows[y]) {
      for (let i = 0; i < line.length; i++) result[row * side * 3 + i] += weight * line[i];
    }
  }
  return result;
}

/** Per input pixel, the output pixels it shares area with and how much. */
function averaging(length, side) {
  const step = length / side;
  const shares = Array.from({length}, () => []);
  for (let out = 0; out < side; out++) {
    const low = out * step;
    const high = low + step;
    for (let i = Math.floor(low); i < Math.min(Math.ceil(high), length); i++) {
      const shared = Math.min(high, i + 1) - Math.max(low, i);
      if (shared > 0) shares[i].push([out, shared / step]);
    }
  }
  return shares;
}
