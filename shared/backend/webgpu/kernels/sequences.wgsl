// Which sequence a row of the call belongs to: before every kernel that reads a state. Its Params have
//     table: u32      NO_TABLE: all rows are consecutive tokens of one state, from p.position on
//                     else: row t is the next token of a state of its own; in uploads (T): where that begins, its position
//     position: u32

const NO_TABLE = 0xffffffffu;

fn isBatch() -> bool {
  return p.table != NO_TABLE;
}

// Rows of each sequence, when the call has T.
fn rowsEach(T: u32) -> u32 {
  return select(T, 1u, isBatch());
}

// Where the state of a row begins, in words, beyond the places that Params say.
fn stateOf(row: u32) -> u32 {
  if (isBatch()) { return uploads[p.table + 2u * row]; }
  return 0u;
}

fn positionOf(row: u32) -> u32 {
  if (isBatch()) { return uploads[p.table + 2u * row + 1u]; }
  return p.position + row;
}

// The first row of this call that is of the same sequence.
fn firstRowOf(row: u32) -> u32 {
  return select(0u, row, isBatch());
}
