// Four signed bytes of a word, lowest first.
fn signedBytes(word: u32) -> vec4i {
  return bitcast<vec4i>(vec4u(word) << vec4u(24u, 16u, 8u, 0u)) >> vec4u(24u);
}

// One word of activations with four rows of weights.
fn dotFour(rows: vec4u, q: u32) -> vec4i {
  return vec4i(dotBytes(rows.x, q), dotBytes(rows.y, q), dotBytes(rows.z, q), dotBytes(rows.w, q));
}
