/** Dropped files: landmarks go to the server unchanged; the tracker on this page reads pictures and videos. */

import { ask } from "./teach-api.js";
import { frameOf } from "./teach-recorder.js";
import { Tracker } from "./tracker.js";
import { amount } from "./types.js";

/** @typedef {import("./teach-api.js").Frame} Frame */

const FPS = 15;
const MOST_S = 60;

/**
 * @param {File} file
 * @param {string} label
 * @param {string} size of the pictures that landmarks were found in, such as 640x480; empty if the file states it
 * @param {string} base absolute address of the tracker's files
 * @param {import("./tracker.js").TrackerOptions} options
 * @param {(text: string) => void} show
 * @returns {Promise<string>} the result, in words
 */
export async function takeFile(file, label, size, base, options, show) {
  if (!/^(image|video)\//.test(file.type)) {
    const query = new URLSearchParams({ name: file.name, label, consent: "true", ...(size && { aspect: size }) });
    const found = await ask(`files?${query}`, "POST", file);
    return `${found.found}: ${amount(found.takes.length, "take")}.`;
  }
  const tracker = new Tracker(base, options, () => {});
  show(`Looking at ${file.name} …`);
  const address = URL.createObjectURL(file);
  try {
    await tracker.open();
    const frames = file.type.startsWith("image/") ? await ofPicture(tracker, address) : await ofVideo(tracker, address, show);
    await ask("takes", "POST", { label, source: file.name, consent: true, frames });
    return `${file.name}: ${amount(frames.filter((frame) => frame.landmarks.length).length, "hand")}.`;
  } finally {
    URL.revokeObjectURL(address);
    tracker.close();
  }
}

/** @param {Tracker} tracker @param {string} address @returns {Promise<Frame[]>} the picture several times: a take has some frames */
async function ofPicture(tracker, address) {
  const image = new Image();
  image.src = address;
  await image.decode();
  const hands = await tracker.look(/** @type {any} */ (image));
  const frame = sighted(hands, image.naturalWidth / image.naturalHeight, 0);
  return Array.from({ length: 6 }, (_, n) => ({ ...frame, t: n * 33 }));
}

/** @param {Tracker} tracker @param {string} address @param {(text: string) => void} show @returns {Promise<Frame[]>} */
async function ofVideo(tracker, address, show) {
  const video = document.createElement("video");
  video.muted = true;
  video.src = address;
  await once(video, "loadeddata");
  const seconds = Math.min(video.duration, MOST_S);
  /** @type {Frame[]} */
  const frames = [];
  for (let time = 0; time < seconds; time += 1 / FPS) {
    video.currentTime = time;
    await once(video, "seeked");
    frames.push(sighted(await tracker.look(video), video.videoWidth / video.videoHeight, Math.round(time * 1000)));
    show(`Looking at the video: ${Math.round((100 * time) / seconds)} %`);
  }
  return frames;
}

/** @param {import("./follow.js").Hand[]} hands @param {number} aspect @param {number} t */
function sighted(hands, aspect, t) {
  return frameOf({ points: hands[0]?.points ?? null, left: hands[0]?.left ?? false, aspect, captured: t, stages: {} });
}

/** @param {HTMLVideoElement} video @param {string} event @returns {Promise<void>} */
function once(video, event) {
  return new Promise((resolve, reject) => {
    video.addEventListener(event, () => resolve(), { once: true });
    video.addEventListener("error", () => reject(new Error("the browser cannot play this file")), { once: true });
  });
}
