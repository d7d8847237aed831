//! How a figure is to look: how wide it is laid out, and in which colours and dashes.

/// The colours of a figure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Palette {
    /// Okabe and Ito's, told apart with all common kinds of colour blindness.
    #[default]
    Colour,
    /// Greys from black on, for print without colours.
    Grey,
}

/// Okabe and Ito's palette (2008) without its yellow, which is too faint on white.
const COLOURS: [&str; 7] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"];
/// As far apart as seven greys on white can be; dashes tell the rest.
const GREYS: [&str; 7] = ["#000000", "#8c8c8c", "#505050", "#b0b0b0", "#303030", "#a0a0a0", "#686868"];

/// How many curves, runs or spaces can be told apart on one figure.
pub const MOST: usize = COLOURS.len();

/// Dashes in pixels: each curve has its own besides its colour.
const DASHES: [Option<&str>; MOST] =
    [None, Some("7 3"), Some("2 3"), Some("9 3 2 3"), Some("14 4"), Some("5 2 1 2 1 2"), Some("1 2")];

/// Lines and words.
pub(super) const INK: &str = "#222222";
/// Words that matter less.
pub(super) const FAINT: &str = "#767676";
/// The lines behind curves.
pub(super) const GRID: &str = "#e6e6e6";
/// The size of words, in pixels.
pub(super) const TEXT: f64 = 13.0;
/// From one line of words to the next.
pub(super) const LINE: f64 = 19.0;

/// The width of a figure for a screen, in pixels.
pub const SCREEN: f64 = 1040.0;

/// How a figure is to look.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Style {
    /// The width that it is laid out in, in pixels, where its text has 13 of them.
    pub width: f64,
    /// Whether it says itself what it was measured on; a figure of a paper has a caption for that.
    pub titled: bool,
    /// Its colours.
    pub palette: Palette,
}

impl Default for Style {
    fn default() -> Self {
        Style { width: SCREEN, titled: true, palette: Palette::Colour }
    }
}

impl Style {
    /// Whether there is no room beside a plot.
    pub fn is_narrow(&self) -> bool {
        self.width < 760.0
    }

    /// The colour of the `i`-th curve.
    pub fn colour(&self, i: usize) -> &'static str {
        match self.palette {
            Palette::Colour => COLOURS[i % MOST],
            Palette::Grey => GREYS[i % MOST],
        }
    }

    /// The dashes of the `i`-th curve; none where it is solid.
    pub fn dashes(&self, i: usize) -> Option<&'static str> {
        DASHES[i % MOST]
    }
}

/// A colour as light as the ground of lines in it: four fifths white.
pub fn tint(colour: &str) -> String {
    let part = |at: usize| colour.get(at..at + 2).and_then(|digits| u8::from_str_radix(digits, 16).ok()).unwrap_or(0);
    let light = |part: u8| (0.2 * f64::from(part) + 0.8 * 255.0).round() as u8;
    let [red, green, blue] = [1, 3, 5].map(|at| light(part(at)));
    format!("#{red:02x}{green:02x}{blue:02x}")
}

/// The grey of a colour's luminance (ITU-R BT.709), as print without colours has it.
pub fn grey(colour: &str) -> Option<String> {
    let digits = colour.strip_prefix('#').filter(|digits| digits.len() == 6)?;
    let part = |at: usize| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok().map(f64::from);
    let grey = (0.2126 * part(0)? + 0.7152 * part(2)? + 0.0722 * part(4)?).round() as u8;
    Some(format!("#{grey:02x}{grey:02x}{grey:02x}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greys_are_those_of_their_colours() {
        assert_eq!(grey("#ffffff").as_deref(), Some("#ffffff"));
        assert_eq!(grey("#0072b2").as_deref(), Some("#5e5e5e"));
        assert_eq!(grey("none"), None);
        assert!(GREYS.iter().all(|own| grey(own).as_deref() == Some(own)));
    }

    #[test]
    fn tints_are_light_and_keep_their_hue() {
        assert_eq!(tint("#0072b2"), "#cce3f0");
        assert_eq!(tint("#000000"), "#cccccc");
        assert_eq!(tint("#ffffff"), "#ffffff");
    }

    #[test]
    fn neighbours_differ_in_lightness_and_dashes() {
        let light = |colour: &str| u8::from_str_radix(&grey(colour).unwrap()[1..3], 16).unwrap();
        for i in 1..MOST {
            assert!(light(GREYS[i]).abs_diff(light(GREYS[i - 1])) >= 50, "{i}");
            assert!((0..i).all(|before| DASHES[before] != DASHES[i]));
        }
    }
}
