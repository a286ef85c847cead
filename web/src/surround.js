// White around a picture, which no exposure made: imaging/surround.py.

const PURE = 254; // White is pure from this level on.
const DIFFERENT = 229.5; // Below, something differs from white ...
const ALONG = 0.9; // ... along so much of a border of a photo in a frame.
const MOST = 0.5;

/**
 * Finds a white frame or page: {box, framed, page}. The box is that of the photo
 * in a frame, else of the whole picture.
 */
export function findSurround(image) {
  const {width, height} = image;
  const whole = {top: 0, bottom: height, left: 0, right: width};
  const nothing = {box: whole, framed: false, page: false};
  if (!mayHaveOne(image)) return nothing;
  const {box, count} = drawn(image);
  if (!count) return nothing; // White throughout.
  const along = alongBorders(image, box);
  const margins = [box.top, height - box.bottom, box.left, width - box.right];
  const sides = [height, height, width, width];
  const wide = margins.map((margin, i) => margin >= Math.max(0.01 * sides[i], 2));
  const content = (box.bottom - box.top) * (box.right - box.left);
  const filled = margins.every((margin, i) => margin === 0 || along[i] >= ALONG);
  const opposite = (wide[0] && wide[1]) || (wide[2] && wide[3]);
  const framed = opposite && filled && content - count < MOST * content;
  const borders = wide.filter(Boolean).length;
  const mostlyWhite = width * height - count >= MOST * width * height;
  const page = !framed && (borders === 4 || (borders === 3 && mostlyWhite));
  return {box: framed ? box : whole, framed, page};
}

function isPure(data, i) {
  return data[i] >= PURE && data[i + 1] >= PURE && data[i + 2] >= PURE;
}

/** Whether two opposite borders are pure. */
function mayHaveOne({data, width, height}) {
  const all = (count, start, step) => {
    for (let n = 0, i = start; n < count; n++, i += step) if (!isPure(data, i)) return false;
    return true;
  };
  const line = 4 * width;
  return (
    (all(width, 0, 4) && all(width, line * (height - 1), 4)) ||
    (all(height, 0, line) && all(height, line - 4, line))
  );
}

/** The box of all that is not pure white, and how many pixels are not. */
function drawn({data, width, height}) {
  const box = {top: height, bottom: 0, left: width, right: 0};
  let count = 0;
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i += 4) {
      if (isPure(data, i)) continue;
      count++;
      box.top = Math.min(box.top, y);
      box.bottom = y + 1;
      box.left = Math.min(box.left, x);
      box.right = Math.max(box.right, x + 1);
    }
  }
  return {box, count};
}

/** Shares of the upper, lower, left and right border with something near. */
function alongBorders(image, {top, bottom, left, right}) {
  const rows = near(bottom - top);
  const columns = near(right - left);
  return [
    along(image, {top, bottom: Math.min(top + rows, bottom), left, right}, false),
    along(image, {top: Math.max(bottom - rows, top), bottom, left, right}, false),
    along(image, {top, bottom, left, right: Math.min(left + columns, right)}, true),
    along(image, {top, bottom, left: Math.max(right - columns, left), right}, true),
  ];
}

function near(side) {
  return Math.min(Math.max(Math.floor(0.03 * side), 2), 16);
}

function along({data, width}, {top, bottom, left, right}, down) {
  const seen = new Uint8Array(down ? bottom - top : right - left);
  for (let y = top; y < bottom; y++) {
    for (let x = left; x < right; x++) {
      const i = 4 * (y * width + x);
      const darkest = Math.min(data[i], data[i + 1], data[i + 2]);
      if (darkest < DIFFERENT) seen[down ? y - top : x - left] = 1;
    }
  }
  return seen.reduce((sum, value) => sum + value, 0) / seen.length;
}
