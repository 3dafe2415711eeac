// The dot product of four signed bytes with four others, exact, where the language has no packed one.
fn dotBytes(a: u32, b: u32) -> i32 {
  let products = signedBytes(a) * signedBytes(b);
  return products.x + products.y + (products.z + products.w);
}
