// Does this photo need it? The one place where the page decides.

const CLIPPED_SHARES = [0.015, 0.04];
const LARGE_CHANGES = [0.25, 0.28];
const SMALL_CHANGES = [0.01, 0.03];

/**
 * Judges a photo: {share, stops, spread, reason}.
 *
 * `share`: of the network's answer that is mixed in, 0 to 1; 0 leaves the photo
 * alone, for the `reason`. `spread`: of the stops, where the model tells it.
 *
 * @param told what the network says of the photo: `slopes`, and `exposure` (the
 *     share, the stops and their spread) where the model judges by itself.
 * @param seen what the page saw: `clipped`, `stops`, `page`, `thumbnail`.
 * @param knots ends of the tone curve's pieces.
 */
export function judge(told, seen, knots) {
  if (seen.page) return {share: 0, stops: 0, reason: 'page'};
  if (told.exposure) {
    const [share, stops, spread] = told.exposure;
    return {share, stops, spread, reason: share > 0 ? '' : 'well exposed'};
  }
  // imaging/gate.py.
  const change = changeOf(seen.thumbnail, told.slopes, knots);
  const wanted = Math.max(ramp(seen.clipped, CLIPPED_SHARES), ramp(change, LARGE_CHANGES));
  const share = wanted * ramp(change, SMALL_CHANGES);
  const reason = share > 0 ? '' : wanted > 0 ? 'small change' : 'little clipped';
  return {share, stops: seen.stops, reason};
}

/** How much the curve would change a thumbnail of nine channels, on average. */
function changeOf(thumbnail, slopes, knots) {
  const tone = curveOf(knots, slopes);
  let sum = 0;
  for (let i = 0; i < thumbnail.length; i += 9) {
    for (let c = 0; c < 3; c++) sum += Math.abs(tone(thumbnail[i + c]) - thumbnail[i + c]);
  }
  return sum / ((thumbnail.length / 9) * 3);
}

export function ramp(value, [low, high]) {
  return Math.min(Math.max((value - low) / (high - low), 0), 1);
}

/** A tone curve of straight pieces, 0 at 0: a function of a value in [0, 1]. */
export function curveOf(knots, slopes) {
  return (value) => {
    let sum = 0;
    for (let i = 0; i < slopes.length; i++) {
      sum += slopes[i] * Math.min(Math.max(value - knots[i], 0), knots[i + 1] - knots[i]);
    }
    return sum;
  };
}

/** The curve that undoes an overexposure by eq. (10), a straight line. */
export function slopesOfStops(stops, pieces) {
  return new Float32Array(pieces).fill(2 ** (-stops / 2.2));
}
