//! How short memory is, compared with what the daemon may use just now.

/// How much pressure there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Level {
    /// Under 70 %.
    #[default]
    Normal,
    /// From 70 %: half of the cache is given up.
    Elevated,
    /// From 85 %: all of the cache, and what waits in pools.
    High,
    /// From 95 %: also the logs of stopped containers; nothing new is started.
    Emergency,
}

/// Where the levels begin, in hundredths.
const BOUNDS: [(usize, Level); 3] =
    [(95, Level::Emergency), (85, Level::High), (70, Level::Elevated)];

impl Level {
    /// The level at which this many bytes are live of those that there are.
    #[must_use]
    pub fn of(live: usize, there: usize) -> Level {
        let reached = |(percent, _): &&(usize, Level)| {
            live.saturating_mul(100) >= there.saturating_mul(*percent)
        };
        BOUNDS.iter().find(reached).map_or(Level::Normal, |(_, level)| *level)
    }
}

#[cfg(test)]
mod tests {
    use super::Level;

    #[test]
    fn each_level_begins_at_its_bound() {
        let levels = [0, 69, 70, 84, 85, 94, 95, 200].map(|live| Level::of(live, 100));
        let (normal, elevated) = (Level::Normal, Level::Elevated);
        let (high, emergency) = (Level::High, Level::Emergency);
        let expected = [normal, normal, elevated, elevated, high, high, emergency, emergency];
        assert_eq!(levels, expected);
        assert_eq!(Level::of(0, 0), Level::Emergency, "nothing is there at all");
    }
}
