// Does this photo need it? And what the answer is made of.

/**
 * Judges a photo: {share, stops, spread, reason}.
 *
 * `share`: of the network's answer that is mixed in, 0 to 1; 0 leaves the photo
 * alone, for the `reason`. `spread`: of the stops, how unsure they are.
 *
 * @param told what the network says of the photo: `exposure`, the share, the
 *     stops and their spread.
 * @param isPage whether the photo is a page or cut-out on white.
 */
export function judge({exposure}, isPage) {
  if (isPage) return {share: 0, stops: 0, spread: 0, reason: 'page'};
  const [share, stops, spread] = exposure;
  return {share, stops, spread, reason: share > 0 ? '' : 'well exposed'};
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
