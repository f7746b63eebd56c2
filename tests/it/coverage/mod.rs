//! Whether intervals hold what they promise and tests err as often as they say, by simulation.
//!
//! Seeded: every figure is the same on every run. 2,000 data sets a figure, so a coverage of 95 %
//! is known to ±1 point (twice its standard error of 0.5). Each test prints its table; see it with
//! `cargo test --release --test it coverage -- --nocapture`. In a build without optimisation (the
//! quick one for development) 25 data sets are drawn and bounds widened accordingly.

mod looks;
mod pairs;
mod power;
mod rates;
mod sizes;

/// `SplitMix64`, apart from the one in the crate, so that no stream is shared.
pub struct Random(u64);

impl Random {
    /// A stream of its own for each figure.
    pub fn of(label: &str) -> Self {
        let start = label.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Self(start)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// From 0 up to, but without, 1.
    pub fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub fn chance(&mut self, p: f64) -> bool {
        self.share() < p
    }

    /// Standard normal (Box and Muller 1958).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.share()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.share()).cos()
    }
}

/// Trials of one case that succeed with `mean` and are alike as `alike` says (the intraclass
/// correlation; 0 independent, 1 all equal): Pólya's urn, whose draws are beta-binomial.
pub struct Urn {
    success: f64,
    total: f64,
    forced: Option<bool>,
    alike: f64,
    mean: f64,
}

impl Urn {
    pub fn new(mean: f64, alike: f64) -> Self {
        let total = if alike > 0.0 { 1.0 / alike - 1.0 } else { 0.0 };
        Self {
            success: mean * total,
            total,
            forced: None,
            alike,
            mean,
        }
    }

    pub fn draw(&mut self, random: &mut Random) -> bool {
        if self.alike <= 0.0 {
            return random.chance(self.mean);
        }
        if self.alike >= 1.0 {
            let mean = self.mean;
            return *self.forced.get_or_insert_with(|| random.chance(mean));
        }
        let success = random.chance(self.success / self.total);
        self.success += f64::from(success);
        self.total += 1.0;
        success
    }

    pub fn draws(&mut self, count: usize, random: &mut Random) -> Vec<bool> {
        (0..count).map(|_| self.draw(random)).collect()
    }
}

/// Data sets per figure.
pub fn data_sets() -> usize {
    if env!("BUILD_OPT_LEVEL") == "0" {
        25
    } else {
        2000
    }
}

/// Twice the standard error of a share near `p` over the data sets drawn, in points: nothing beyond
/// the stated bound by more than that is put down to chance. With few data sets three times.
pub fn slack(p: f64) -> f64 {
    let errors = if data_sets() < 2000 { 4.0 } else { 2.0 };
    100.0 * errors * (p * (1.0 - p) / data_sets() as f64).sqrt()
}

/// How often an interval held the truth, and how wide it was, both in points.
#[derive(Clone, Copy, Debug, Default)]
pub struct Coverage {
    pub held: f64,
    pub width: f64,
}

/// Draws data sets, asks for an interval of each (none: not counted), and compares with the truth.
pub fn coverage(
    truth: f64,
    random: &mut Random,
    mut interval: impl FnMut(&mut Random) -> Option<(f64, f64)>,
) -> Coverage {
    let (mut held, mut width, mut counted) = (0_usize, 0.0, 0_usize);
    for _ in 0..data_sets() {
        let Some((low, high)) = interval(random) else {
            continue;
        };
        counted += 1;
        width += high - low;
        held += usize::from(low <= truth + 1e-12 && truth <= high + 1e-12);
    }
    let counted = counted.max(1) as f64;
    Coverage {
        held: 100.0 * held as f64 / counted,
        width: 100.0 * width / counted,
    }
}

/// Share of data sets for which something happens, in points.
pub fn how_often(random: &mut Random, mut happens: impl FnMut(&mut Random) -> bool) -> f64 {
    let count = (0..data_sets()).filter(|_| happens(random)).count();
    100.0 * count as f64 / data_sets() as f64
}

/// A table that is printed as a whole, and the figures that are held to bounds.
pub struct Table {
    text: String,
    figures: Vec<f64>,
}

impl Table {
    pub fn new(title: &str, columns: &str) -> Self {
        let sets = data_sets();
        Self {
            text: format!("\n{title} ({sets} data sets a figure)\n{columns}\n"),
            figures: Vec::new(),
        }
    }

    pub fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// A figure that counts for the bounds.
    pub fn figure(&mut self, value: f64) -> f64 {
        self.figures.push(value);
        value
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn lowest(&self) -> f64 {
        self.figures.iter().copied().fold(f64::MAX, f64::min)
    }

    pub fn highest(&self) -> f64 {
        self.figures.iter().copied().fold(f64::MIN, f64::max)
    }

    pub fn mean(&self) -> f64 {
        self.figures.iter().sum::<f64>() / self.figures.len() as f64
    }

    /// Prints the table and holds coverage to its bounds: on average and at least, in percent.
    pub fn must_cover(mut self, average: f64, least: f64) {
        let (mean, lowest) = (self.mean(), self.lowest());
        let summary = format!(
            "nominal 95, mean {mean:.1} (bound {average}), lowest {lowest:.1} (bound {least}), \
             simulation error ±{:.1}",
            slack(0.95)
        );
        self.line(&summary);
        println!("{}", self.text);
        assert!(
            mean >= average - slack(0.95) / (self.figures.len() as f64).sqrt(),
            "{summary}"
        );
        assert!(lowest >= least - slack(least / 100.0), "{summary}");
    }

    /// Prints the table and holds error rates to their level, in percent.
    pub fn must_not_exceed(mut self, level: f64) {
        let highest = self.highest();
        let error = slack(level / 100.0);
        let summary = format!("level {level}, highest {highest:.1}, simulation error ±{error:.1}");
        self.line(&summary);
        println!("{}", self.text);
        assert!(highest <= level + error, "{summary}");
    }
}
