//! Drawings as PDF: vectors, with the built-in font embedded as far as it is used.

use svg2pdf::{ConversionOptions, PageOptions, to_pdf};

use super::figure::PIXELS;
use super::png::tree;
use crate::error::{Error, Result};

/// Converts an SVG into a PDF of one page of its size. The same drawing gives the same bytes.
///
/// # Errors
/// [`Error::Usage`] for text that is not SVG or that PDF cannot hold.
pub fn convert(svg: &str) -> Result<Vec<u8>> {
    let page = PageOptions { dpi: PIXELS as f32 };
    to_pdf(&tree(svg)?, ConversionOptions::default(), page)
        .map_err(|why| Error::Usage(format!("the drawing cannot be written as PDF: {why}")))
}
