/** Short tones for steps, walls and the exit. Off until the player turns them on. */

const KEY = "maze.sound";
/** @type {Record<string, [number, number][]>} tones: hertz and seconds from the start */
const TONES = {
  step: [[440, 0]],
  wall: [[130, 0]],
  menu: [[660, 0]],
  go: [[880, 0]],
  done: [[523, 0], [659, 0.12], [784, 0.24], [1047, 0.36]],
};
const LENGTH_S = 0.09;
const LOUD = 0.08;

export class Sound {
  /** @type {AudioContext | null} */
  #context = null;

  get on() {
    return localStorage.getItem(KEY) === "on";
  }

  /** @param {boolean} on */
  turn(on) {
    localStorage.setItem(KEY, on ? "on" : "off");
    if (on) this.play("step");
  }

  /** @param {"step" | "wall" | "menu" | "go" | "done"} what */
  play(what) {
    if (!this.on) return;
    this.#context ??= new AudioContext();
    for (const [pitch, after] of TONES[what]) tone(this.#context, pitch, this.#context.currentTime + after);
  }
}

/** @param {AudioContext} context @param {number} pitch hertz @param {number} at seconds of the context */
function tone(context, pitch, at) {
  const [source, volume] = [context.createOscillator(), context.createGain()];
  source.frequency.value = pitch;
  source.type = "triangle";
  volume.gain.setValueAtTime(LOUD, at);
  volume.gain.exponentialRampToValueAtTime(0.001, at + LENGTH_S);
  source.connect(volume).connect(context.destination);
  source.start(at);
  source.stop(at + LENGTH_S);
}
