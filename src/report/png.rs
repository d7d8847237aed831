//! Drawings as PNG, with a font that is part of the program: the same picture on every machine.

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree, fontdb};

use crate::error::{Error, Result};

/// Draws an SVG, enlarged by `scale`, and encodes it as PNG.
///
/// # Errors
/// [`Error::Usage`] for text that is not SVG and for a picture of no or too many pixels (over 16384 on a side).
pub fn rasterise(svg: &str, scale: f32) -> Result<Vec<u8>> {
    let tree = tree(svg)?;
    let side = |pixels: f32| {
        let pixels = (pixels * scale).ceil();
        (1.0..=16384.0).contains(&pixels).then_some(pixels as u32)
    };
    let size = tree.size();
    let pixmap = side(size.width()).zip(side(size.height())).and_then(|(w, h)| Pixmap::new(w, h));
    let mut pixmap = pixmap.ok_or_else(|| {
        let (w, h) = (size.width(), size.height());
        Error::Usage(format!("a {w} by {h} drawing at scale {scale} is not between 1 and 16384 pixels on a side"))
    })?;
    resvg::render(&tree, Transform::from_scale(scale, scale), &mut pixmap.as_mut());
    pixmap.encode_png().map_err(|why| Error::Usage(format!("the picture cannot be written as PNG: {why}")))
}

/// Reads an SVG, whose texts get the built-in font.
///
/// # Errors
/// [`Error::Usage`] for text that is not SVG.
pub(super) fn tree(svg: &str) -> Result<Tree> {
    let mut fonts = fontdb::Database::new();
    fonts.load_font_data(epaint_default_fonts::UBUNTU_LIGHT.to_vec());
    let family = fonts.faces().next().and_then(|f| f.families.first()).map(|(name, _)| name.clone());
    let family = family.ok_or_else(|| Error::Usage("the built-in font cannot be read".into()))?;
    fonts.set_sans_serif_family(family.clone());
    let options = Options { font_family: family, fontdb: fonts.into(), ..Options::default() };
    Tree::from_str(svg, &options).map_err(|why| Error::Usage(format!("not a drawing: {why}")))
}
