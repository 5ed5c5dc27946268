const kBytes = 64 * 1024;

/** Where messages lie that native code has received. */
export const scratch = Buffer.from(new ArrayBuffer(kBytes));

/** Where messages lie on their way to native code. */
export const outbox = Buffer.from(new ArrayBuffer(kBytes));
