//! Figures as files: the one place that knows what an extension means, and the options that all of them take.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::console::Console;
use super::files;
use crate::error::{Error, Result};
use crate::report::figure::{Figure, PIXELS, POINTS};
use crate::report::style::{Palette, Style};

/// What every figure takes.
#[derive(clap::Args)]
pub struct FigureArguments {
    /// Width on paper: 8.4cm, 84mm, 3.3in or 238pt. Titles then go to standard error, as a caption. Default: for a screen.
    #[arg(long)]
    width: Option<Length>,
    /// Size of text on paper, with --width. Default: 8pt.
    #[arg(long, requires = "width")]
    font_size: Option<Length>,
    /// Colours that colour-blind people tell apart, or greys for print.
    #[arg(long, value_enum, default_value = "colour")]
    palette: PaletteName,
}

/// The figure of a job, which leaves one for screens in its folder anyway.
#[derive(clap::Args)]
pub struct JobFigureArguments {
    /// Write the figure here as well: .svg, .png, .pdf or .csv.
    #[arg(long, value_name = "FILE")]
    figure: Option<PathBuf>,
    #[command(flatten)]
    options: FigureArguments,
}

impl JobFigureArguments {
    /// Refuses what cannot be written, before the job begins.
    ///
    /// # Errors
    /// [`Error::Usage`] as [`FigureArguments::style`] and [`Format::of`], and for options without --figure.
    pub fn check(&self) -> Result<()> {
        match &self.figure {
            Some(out) => Format::of(out, &[]).map(drop)?,
            None if self.options.is_usual() => {}
            None => {
                let what = "--width, --font-size and --palette are those of --figure FILE, which is missing";
                return Err(Error::Usage(what.into()));
            }
        }
        self.options.style().map(drop)
    }

    /// Refuses --figure where there is none to draw.
    ///
    /// # Errors
    /// [`Error::Usage`] naming what has none.
    pub fn none(&self, of: &str) -> Result<()> {
        match self.figure {
            None => Ok(()),
            Some(_) => Err(Error::Usage(format!("--figure: {of} has no figure; leave it out"))),
        }
    }

    /// Writes the figure, if it was asked for.
    ///
    /// # Errors
    /// Those of drawing and of [`FigureArguments::write`].
    pub fn write(&self, draw: impl FnOnce(&Style) -> Result<Figure>, console: Console) -> Result<()> {
        let Some(out) = &self.figure else { return Ok(()) };
        self.options.write(out, &draw(&self.options.style()?)?, console)
    }
}

/// The palettes.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum PaletteName {
    /// Okabe and Ito's colours.
    Colour,
    /// Greys; curves differ by dashes as well.
    Grey,
}

/// A length on paper, in points.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Length(f64);

impl FromStr for Length {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let units = [("cm", POINTS / 2.54), ("mm", POINTS / 25.4), ("in", POINTS), ("pt", 1.0)];
        let bad = || "expected a length above 0 in cm, mm, in or pt, for example 8.4cm".to_owned();
        let found = units.into_iter().find_map(|(unit, points)| Some((text.strip_suffix(unit)?, points)));
        let (number, points) = found.ok_or_else(bad)?;
        let number: f64 = number.trim().parse().map_err(|_| bad())?;
        (number.is_finite() && number > 0.0).then_some(Length(number * points)).ok_or_else(bad)
    }
}

/// Text of a figure without --font-size.
const TEXT: Length = Length(8.0);
/// Text of a figure in the pixels that it is laid out in.
const TEXT_PIXELS: f64 = 13.0;
/// The narrowest figure whose labels do not run into each other, and the widest that makes sense, in those pixels.
const NARROWEST: f64 = 300.0;
const WIDEST: f64 = 4000.0;
/// The widest page of PDF, in points.
const PAGE: f64 = 14_400.0;
/// Dots an inch of a PNG of a width.
const DOTS: f64 = 300.0;

impl FigureArguments {
    fn palette(&self) -> Palette {
        match self.palette {
            PaletteName::Colour => Palette::Colour,
            PaletteName::Grey => Palette::Grey,
        }
    }

    /// Whether no option was given.
    fn is_usual(&self) -> bool {
        self.width.is_none() && self.font_size.is_none() && self.palette == PaletteName::Colour
    }

    /// How a plot is laid out.
    ///
    /// # Errors
    /// [`Error::Usage`] for a width that its text has no room in.
    pub fn style(&self) -> Result<Style> {
        let palette = self.palette();
        let Some(Length(width)) = self.width else { return Ok(Style { palette, ..Style::default() }) };
        let Length(font) = self.font_size.unwrap_or(TEXT);
        let pixels = width / font * TEXT_PIXELS;
        if !(NARROWEST..=WIDEST).contains(&pixels) || width > PAGE {
            let (least, most) = (NARROWEST / TEXT_PIXELS * font, (WIDEST / TEXT_PIXELS * font).min(PAGE));
            return Err(Error::Usage(format!(
                "--width: {width:.0} points are no width for text of {font:.1} points; expected {least:.0} to {most:.0} points"
            )));
        }
        Ok(Style { width: pixels, titled: false, palette })
    }

    /// Refuses what a drawing that is scaled as it is cannot have: a size of text of its own, and a width that is no page's.
    ///
    /// # Errors
    /// [`Error::Usage`] naming the option.
    pub fn check_scaled(&self) -> Result<()> {
        match (self.width, self.font_size) {
            (_, Some(_)) => {
                Err(Error::Usage("--font-size: a drawing is scaled to --width as it is; leave it out".into()))
            }
            (Some(Length(width)), None) if width > PAGE => {
                Err(Error::Usage(format!("--width: {width:.0} points are more than the {PAGE:.0} of the widest page")))
            }
            _ => Ok(()),
        }
    }

    /// Writes a figure as its file's extension says, and says the caption of one that has none of its own.
    ///
    /// # Errors
    /// [`Error::Usage`] for another extension; those of writing.
    pub fn write(&self, out: &Path, figure: &Figure, console: Console) -> Result<()> {
        let width = self.width.map(|Length(points)| points);
        let svg = || figure.svg_text(width, self.palette());
        let format = Format::of(out, &[])?;
        match format {
            Format::Svg => files::write(out, svg().as_bytes())?,
            Format::Png => files::write(out, &png(&svg(), width.map_or(2.0, |_| DOTS / PIXELS))?)?,
            Format::Pdf => files::write(out, &pdf(&svg())?)?,
            Format::Csv => match &figure.csv {
                Some(csv) => files::write(out, csv.as_bytes())?,
                None => {
                    let what = "a drawing of a network has no numbers for a .csv; expected .svg, .png or .pdf";
                    return Err(Error::Usage(format!("{}: {what}", out.display())));
                }
            },
        }
        console.wrote(out);
        if format != Format::Csv {
            figure.caption.iter().for_each(|line| console.note(&format!("caption: {line}")));
        }
        Ok(())
    }
}

/// The kinds of files that figures are written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Vectors for screens and editors.
    Svg,
    /// Dots.
    Png,
    /// Vectors for papers.
    Pdf,
    /// The numbers.
    Csv,
}

impl Format {
    /// What the extension of a file says; `also` are those that a verb takes besides.
    ///
    /// # Errors
    /// [`Error::Usage`] for one that is none of these.
    pub fn of(out: &Path, also: &[&str]) -> Result<Format> {
        match out.extension().and_then(|e| e.to_str()).unwrap_or_default() {
            "svg" => Ok(Format::Svg),
            "png" => Ok(Format::Png),
            "pdf" => Ok(Format::Pdf),
            "csv" => Ok(Format::Csv),
            other => {
                let also: String = also.iter().map(|extension| format!(", .{extension}")).collect();
                let what = format!("`.{other}` is not known; expected .svg, .png, .pdf, .csv{also}");
                Err(Error::Usage(format!("{}: {what}", out.display())))
            }
        }
    }
}

#[cfg(feature = "png")]
fn png(svg: &str, scale: f64) -> Result<Vec<u8>> {
    crate::report::png::rasterise(svg, scale as f32)
}

#[cfg(feature = "png")]
fn pdf(svg: &str) -> Result<Vec<u8>> {
    crate::report::pdf::convert(svg)
}

#[cfg(not(feature = "png"))]
fn png(_svg: &str, _scale: f64) -> Result<Vec<u8>> {
    Err(Error::Usage("this build has no feature `png`; name a .svg".into()))
}

#[cfg(not(feature = "png"))]
fn pdf(_svg: &str) -> Result<Vec<u8>> {
    Err(Error::Usage("this build has no feature `png`, which PDF is part of; name a .svg".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(width: Option<&str>, font_size: Option<&str>) -> FigureArguments {
        let of = |text: &str| text.parse().unwrap();
        FigureArguments { width: width.map(of), font_size: font_size.map(of), palette: PaletteName::Colour }
    }

    #[test]
    fn lengths_have_units() {
        for (text, points) in
            [("8.4cm", 238.11), ("84mm", 238.11), ("3.3in", 237.6), ("238pt", 238.0), ("8 cm", 226.77)]
        {
            let Length(found) = text.parse().unwrap();
            assert!((found - points).abs() < 0.01, "{text}: {found}");
        }
        for text in ["", "8", "cm", "-1cm", "0pt", "infpt", "8px", "8.4cmcm"] {
            assert!(text.parse::<Length>().is_err(), "{text}");
        }
    }

    #[test]
    fn text_has_the_asked_size() {
        let style = arguments(Some("8.4cm"), Some("8pt")).style().unwrap();
        assert!((style.width / TEXT_PIXELS - 238.11 / 8.0).abs() < 0.01 && !style.titled);
        assert_eq!(arguments(None, None).style().unwrap(), Style::default());
        for (width, font) in [("1cm", "8pt"), ("8.4cm", "40pt"), ("900cm", "100pt"), ("8.4cm", "0.1pt")] {
            assert!(arguments(Some(width), Some(font)).style().is_err(), "{width} {font}");
        }
    }
}
