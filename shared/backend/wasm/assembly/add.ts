/** x += y over `n` numbers; buffers are padded to a multiple of 4. */
export function add(x: usize, y: usize, n: i32): void {
  for (let end = x + (<usize>n << 2); x < end; x += 16, y += 16) v128.store(x, f32x4.add(v128.load(x), v128.load(y)));
}

/** Every row of x (T N) gets b (N) added. N: a multiple of 4. */
export function addBias(x: usize, b: usize, T: i32, N: i32): void {
  const rowBytes = <usize>N << 2;
  for (let t = 0; t < T; t++, x += rowBytes)
    for (let n: usize = 0; n < rowBytes; n += 16) v128.store(x + n, f32x4.add(v128.load(x + n), v128.load(b + n)));
}
