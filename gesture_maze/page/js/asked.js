/** Reads the page's address: the seed of the first maze, and a race. */

const MOST_SEED = 2 ** 31 - 1;
const RACE_ID = /^[A-Za-z0-9_-]{4,32}$/;

/** @returns {number | null} the seed of the address, if it has a valid one */
export function seedAsked() {
  const text = new URL(location.href).searchParams.get("seed") ?? "";
  return /^\d{1,10}$/.test(text) && Number(text) <= MOST_SEED ? Number(text) : null;
}

/** @returns {number} a random seed */
export function anySeed() {
  return Math.floor(Math.random() * MOST_SEED);
}

/** @param {string} id @returns {boolean} whether a race can have this id */
export function isRaceId(id) {
  return RACE_ID.test(id);
}

/** Set or remove a part of the address, which a reload of the page reads. @param {string} part @param {string | null} value */
export function setAddress(part, value) {
  const here = new URL(location.href);
  if (here.searchParams.get(part) === value) return;
  if (value === null) here.searchParams.delete(part);
  else here.searchParams.set(part, value);
  history.replaceState(null, "", here);
}
