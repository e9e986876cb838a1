// The wire of gesture-maze in JavaScript: all that a client in another language has to write itself.

const LANDMARKS = 21, META_BYTES = 24, LANDMARK_BYTES = LANDMARKS * 3 * 4;
const HAND = 1, LEFT = 2, MIRRORED = 4;

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  for (let bit = 0; bit < 8; bit++) byte = byte & 1 ? (byte >>> 1) ^ 0xedb88320 : byte >>> 1;
  return byte;
});

export function crc32(text) {
  let crc = ~0;
  for (const byte of Buffer.from(text)) crc = CRC_TABLE[(crc ^ byte) & 255] ^ (crc >>> 8);
  return ~crc >>> 0;
}

export const partitionOf = (session, partitions) => crc32(session) % partitions;
export const framesKey = (partition) => `frames:{${partition}}`;
export const actionsChannel = (partition, session) => `actions:{${partition}}:${session}`;

// Frames of one partition -> the fields of one stream entry.
// A frame: { session, seq, t, aspect, landmarks: [[x, y, z], ... 21] or [], hand: "left"?, mirrored: true? }
export function pack(frames) {
  const m = Buffer.alloc(frames.length * META_BYTES);
  const l = Buffer.alloc(frames.length * LANDMARK_BYTES);
  frames.forEach((frame, row) => {
    let at = row * META_BYTES;
    at = m.writeBigUInt64LE(BigInt(frame.seq), at);
    at = m.writeBigInt64LE(BigInt(frame.t), at);
    at = m.writeFloatLE(frame.aspect ?? 1, at);
    const hand = frame.landmarks.length ? HAND : 0;
    m.writeUInt32LE(hand | (frame.hand === "left" ? LEFT : 0) | (frame.mirrored ? MIRRORED : 0), at);
    at = row * LANDMARK_BYTES;
    for (const [x, y, z = 0] of frame.landmarks) {
      at = l.writeFloatLE(z, l.writeFloatLE(y, l.writeFloatLE(x, at)));
    }
  });
  return { s: frames.map((frame) => frame.session).join(" "), m, l };
}
