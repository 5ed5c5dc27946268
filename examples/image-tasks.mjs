// The tasks of image-server.mjs, in a module of their own: isolates import it too.
import { alloc, defineTasks, free, move } from 'heddle';

const kChannels = 4; // red, green, blue, alpha

export const tasks = defineTasks(import.meta.url, {
  /** Raw RGBA made smaller: each pixel is the mean of a box of `by` times `by` pixels. */
  downscale(ctx, pixels, width, height, by) {
    const [smallWidth, smallHeight] = [Math.floor(width / by), Math.floor(height / by)];
    const small = alloc(smallWidth * smallHeight * kChannels);
    for (let y = 0; y < smallHeight; y += 1) {
      ctx.throwIfDone(); // whoever asked may be gone
      for (let x = 0; x < smallWidth; x += 1) {
        const corner = (y * by * width + x * by) * kChannels;
        for (let channel = 0; channel < kChannels; channel += 1) {
          let sum = 0;
          for (let row = 0; row < by; row += 1) {
            const start = corner + row * width * kChannels + channel;
            for (let i = 0; i < by; i += 1) sum += pixels[start + i * kChannels];
          }
          small[(y * smallWidth + x) * kChannels + channel] = Math.round(sum / by ** 2);
        }
      }
    }
    free(pixels); // they were moved here, and the next image finds their memory warm
    return move(small);
  },
});
