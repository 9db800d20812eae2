//! Prints the table of `ALLOCATORS.md`: holds every allocator in it to the contract of a port.

fn main() {
    print!("{}", mallory_scenarios::foreign::allocators::table());
}
