// What the tasks of the bench do, as plain functions of one argument: heddle's tasks and those of
// every peer call these, so that all compute the same.

export const kImageWidth = 320;
export const kImageHeight = 240;
export const kImageBytes = 4 * kImageWidth * kImageHeight;
const kShrink = 4;
/** What `downscale` answers. */
export const kSmallBytes = kImageBytes / kShrink ** 2;

export function empty(): void {}

export function length(bytes: Uint8Array): number {
  return bytes.length;
}

/** How many orders of a JSON text are paid. */
export function countPaid(text: Uint8Array): number {
  const orders = JSON.parse(new TextDecoder().decode(text)) as { paid: boolean }[];
  return orders.reduce((count, { paid }) => count + (paid ? 1 : 0), 0);
}

/** An RGBA image of kImageWidth × kImageHeight, a quarter as wide and high, by a box filter. */
export function downscale(
  image: Uint8Array,
  small: Uint8Array = new Uint8Array(kSmallBytes),
): Uint8Array {
  const width = kImageWidth / kShrink;
  const height = kImageHeight / kShrink;
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      for (let channel = 0; channel < 4; channel += 1) {
        let sum = 0;
        for (let row = 0; row < kShrink; row += 1) {
          let at = 4 * ((kShrink * y + row) * kImageWidth + kShrink * x) + channel;
          for (const end = at + 4 * kShrink; at < end; at += 4) sum += image[at]!;
        }
        small[4 * (y * width + x) + channel] = Math.round(sum / kShrink ** 2);
      }
    }
  }
  return small;
}

/** The n-th Fibonacci number by naive recursion: the same calls as heddle's kernel of that name. */
export function fib(n: number): number {
  return n < 2 ? n : fib(n - 1) + fib(n - 2);
}
