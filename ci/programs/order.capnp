@0xdbb9ad1f14bf0b36;
struct Order {
  id @0 :Int32;
  items @1 :List(Text);
  state @2 :State = paid;
  enum State { open @0; paid @1; }
  union { name @3 :Text; number @4 :Int64; }
}
const first :Order = (id = 1, items = ["pen", "ink"], name = "Ada");
