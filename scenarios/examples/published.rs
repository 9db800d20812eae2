//! Prints the table of `PUBLISHED.md`.

fn main() {
    print!("{}", mallory_scenarios::planted::published::table());
}
