// What is said of a photo, in words.

/** {title, text} of a photo as it is corrected now. */
export function describe(photo, share) {
  const {verdict, options, clipped, framed, profile, keepsProfile} = photo;
  const parts = [];
  let title;
  if (options.stops !== null) {
    title = 'Corrected as you say';
    parts.push(`It counts as ${stops(options.stops)} overexposed.`);
  } else if (options.force && verdict.share === 0) {
    title = 'Corrected all the same';
    parts.push(reason(verdict));
  } else if (share === 0) {
    title = 'Left as it is';
    parts.push(reason(verdict));
    if (options.ev !== 0) title = 'Only its exposure is changed';
  } else if (share < 1) {
    title = `Corrected in part, ${percent(share)}`;
    parts.push(
      `${about(verdict)}, but the model is in two minds; ${percent(clipped)} of its pixels are clipped.`,
    );
  } else {
    title = 'Corrected';
    parts.push(
      `${about(verdict)}; ${percent(clipped)} of its pixels are clipped: what was there is invented.`,
    );
  }
  if (framed) parts.push('The white frame stays as it is.');
  if (profile) parts.push(`Its colours are ${profile}${keepsProfile ? '' : '; saved as sRGB'}.`);
  return {title, text: parts.join(' ')};
}

function about({stops: found, spread}) {
  const range = spread ? ` (give or take ${spread.toFixed(1)})` : '';
  return `About ${stops(found)} overexposed${range}`;
}

function reason({reason: why}) {
  return {
    page: 'It is pure white up to its borders: a page or something cut out, not overexposed.',
    'well exposed': 'The model takes it for well exposed.',
  }[why];
}

export function stops(value) {
  return `${value.toFixed(1)} ${value.toFixed(1) === '1.0' ? 'stop' : 'stops'}`;
}

export function percent(share) {
  const value = 100 * share;
  // A space that does not break.
  return `${value > 0 && value < 9.95 ? value.toFixed(1) : Math.round(value)}\u00a0%`;
}
