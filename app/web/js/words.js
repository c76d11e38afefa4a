// What the service's values mean, in plain words. Whatever is not listed here is shown as it came.

export const ADVICE = {
  ambiguous: "Two speakers are too close to each other. Speak longer, or verify the one who is claimed.",
  empty_gallery: "Nobody is enrolled yet. Enroll somebody first.",
};

const DECISIONS = { accept: "Accepted", reject: "Rejected", inconclusive: "Inconclusive" };

const FLAGS = {
  replay_suspected:
    "This may be a recording played back, not a person speaking. The decision does not take it into account.",
};

const STATUSES = {
  empty: "no voice yet",
  enrolling: "needs more speech",
  enrolled: "enrolled",
  stale: "of another encoder: take the clips back, and enroll again",
};

const POINTS = { eer: "Balanced", "fmr_1e-2": "Strict", "fmr_1e-3": "Very strict" };

export function decisionInWords(decision) {
  return DECISIONS[decision] ?? decision;
}

export function flagInWords(flag) {
  return FLAGS[flag] ?? `The service warns: ${flag.replaceAll("_", " ")}.`;
}

export function statusInWords(status) {
  return STATUSES[status] ?? status;
}

export function pointInWords(name) {
  return POINTS[name] ? `${POINTS[name]} (${name})` : name;
}

/** 0.0439 as "1 in 23". */
export function oneIn(rate) {
  return rate > 0 ? `1 in ${Math.round(1 / rate).toLocaleString("en-GB")}` : "none of those measured";
}

/** 0.0439 as "44" of 1,000. Certainty is never claimed: the ends are "fewer than 1" and "nearly all". */
export function ofThousand(rate) {
  const n = Math.round(1000 * rate);
  if (n === 0) return "fewer than 1";
  return n === 1000 ? "nearly all" : String(n);
}

/** A 95 % interval of such a rate. */
export function ofThousandBetween([low, high]) {
  const [from, to] = [ofThousand(low), ofThousand(high)];
  return from === to ? from : `${from} to ${to}`;
}

/** A number of things: "1 clip", "2 clips". */
export function counted(n, thing) {
  return `${n} ${thing}${n === 1 ? "" : "s"}`;
}

export function seconds(value) {
  return `${value.toFixed(value < 10 ? 1 : 0)} s`;
}

/** What is still missing, rounded up: less would not be enough. */
export function missingSeconds(value) {
  return `${Math.max(1, Math.ceil(value))} s`;
}

/** Certainty is never claimed: the ends are "over" and "under". */
export function percent(fraction) {
  if (fraction > 0.999) return "over 99.9 %";
  if (fraction < 0.001) return "under 0.1 %";
  const value = 100 * fraction;
  return `${value.toFixed(value > 99 || value < 1 ? 1 : 0)} %`;
}

export function nameOf(speaker) {
  return speaker.display_name || speaker.speaker_id;
}

export function day(time) {
  return new Date(time).toLocaleDateString("en-GB", { dateStyle: "medium" });
}

export function dayAndTime(time) {
  return new Date(time).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
}

/** A clip's noise, by its signal-to-noise ratio in dB. */
export function noiseInWords(snrDb) {
  if (snrDb === null) return "not measurable";
  const level = snrDb >= 20 ? "low" : snrDb >= 8 ? "moderate" : "high";
  return `${level} (${snrDb.toFixed(0)} dB)`;
}
