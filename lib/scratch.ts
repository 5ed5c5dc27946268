/** Where messages lie on their way to native code and back. */
export const scratch = Buffer.from(new ArrayBuffer(64 * 1024));
