//! The search's curves.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Style, Stylize};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Block, Chart, Dataset, GraphType};

use super::signs::{FIRST, SECOND, THIRD, nothing};
use super::watched::Watched;
use crate::record::SearchEpoch;

/// A curve: its name, the sign that draws it, its colour, its points.
struct Series {
    name: &'static str,
    sign: Sign,
    colour: Color,
    points: Vec<(f64, f64)>,
}

/// Curves differ by more than colour.
#[derive(Clone, Copy)]
enum Sign {
    Line,
    Of(char),
}

/// How many images the supernet has right, clean and attacked.
pub(super) fn accuracy(run: &Watched, frame: &mut Frame, area: Rect) {
    let series = [
        Series { name: "clean", sign: Sign::Line, colour: FIRST, points: of(run, |e| Some(100.0 * e.clean.rate())) },
        Series {
            name: "attacked",
            sign: Sign::Of('•'),
            colour: SECOND,
            points: of(run, |e| Some(100.0 * e.adversarial.rate())),
        },
    ];
    draw(run, "supernet %", &series, frame, area);
}

/// Its losses.
pub(super) fn losses(run: &Watched, frame: &mut Frame, area: Rect) {
    let series = [
        Series { name: "weights", sign: Sign::Line, colour: FIRST, points: of(run, |e| Some(e.weight_loss)) },
        Series { name: "arch", sign: Sign::Of('•'), colour: SECOND, points: of(run, |e| e.adversarial_loss) },
        Series { name: "arch clean", sign: Sign::Of('+'), colour: THIRD, points: of(run, |e| e.natural_loss) },
    ];
    draw(run, "loss", &series, frame, area);
}

/// What the curves are, each with its sign, and with its last value.
fn title(what: &str, series: &[Series], values: bool) -> Line<'static> {
    let mut title = vec![Span::from(what.to_owned())];
    for Series { name, sign, colour, points } in series {
        let Some((_, value)) = points.last() else { continue };
        let sign = match sign {
            Sign::Line => '─',
            Sign::Of(sign) => *sign,
        };
        let value = if values { format!(" {value:.2}") } else { String::new() };
        title.push(Span::from(format!(" {sign} {name}{value}")).fg(*colour));
    }
    Line::from(title)
}

fn of(run: &Watched, read: impl Fn(&SearchEpoch) -> Option<f64>) -> Vec<(f64, f64)> {
    let epochs = run.state.iter().flat_map(|state| &state.epochs);
    epochs.filter_map(|epoch| Some((f64::from(epoch.epoch), read(epoch)?))).collect()
}

fn draw(run: &Watched, what: &'static str, series: &[Series], frame: &mut Frame, area: Rect) {
    // The last values, where there is room for them.
    let room = usize::from(area.width.saturating_sub(2));
    let title = [true, false].map(|values| title(what, series, values)).into_iter().find(|title| title.width() <= room);
    let block = Block::bordered().title(title.unwrap_or_else(|| Line::from(what)));
    let values = || series.iter().flat_map(|series| &series.points).map(|(_, value)| *value);
    let (low, high) = values().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    if low > high {
        return nothing(frame, area, block, "no epoch yet");
    }
    let epochs = run.state.as_ref().map_or(1, |state| state.config.search.epochs.max(2));
    let room = (0.05 * (high - low)).max(0.01 * high.abs()).max(1e-6);
    let (low, high) = ((low - room).max(0.0), high + room);
    let sets = series.iter().map(|Series { sign, colour, points, .. }| {
        let set = Dataset::default().style(Style::new().fg(*colour)).data(points);
        match sign {
            Sign::Line => set.marker(Marker::Braille).graph_type(GraphType::Line),
            Sign::Of(sign) => set.marker(Marker::Custom(*sign)).graph_type(GraphType::Scatter),
        }
    });
    let digits = if high >= 10.0 { 0 } else { 2 };
    let label = |value: f64| format!("{value:.digits$}");
    let x = Axis::default().bounds([1.0, f64::from(epochs)]).labels(["1".to_owned(), epochs.to_string()]);
    let y = Axis::default().bounds([low, high]).labels([low, f64::midpoint(low, high), high].map(label));
    let chart = Chart::new(sets.collect()).block(block).x_axis(x).y_axis(y).legend_position(None);
    frame.render_widget(chart, area);
}
