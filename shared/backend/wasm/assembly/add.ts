/** x += y over `n` numbers; buffers are padded to a multiple of 4. */
export function add(x: usize, y: usize, n: i32): void {
  for (let end = x + (<usize>n << 2); x < end; x += 16, y += 16) v128.store(x, f32x4.add(v128.load(x), v128.load(y)));
}
