//! `robustnas completions` and `robustnas man`: the command line as shells and `man` read it.

use clap::CommandFactory;

use super::{Arguments, files};
use crate::error::{IoContext, Result};

/// What completes command lines in a shell.
pub fn completions(shell: clap_complete::Shell) -> Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "robustnas", &mut text);
    files::print(&String::from_utf8_lossy(&text))
}

/// The manual page, with a section for every verb.
pub fn man() -> Result<()> {
    let mut command = Arguments::command();
    command.build();
    let mut text = Vec::new();
    let written = std::path::Path::new("standard output");
    clap_mangen::Man::new(command.clone()).render(&mut text).at(written)?;
    for verb in command.get_subcommands().filter(|verb| verb.get_name() != "help") {
        let name = verb.get_name().to_uppercase();
        let page = clap_mangen::Man::new(verb.clone());
        text.extend(format!(".SH \"{name}\"\n").bytes());
        page.render_synopsis_section(&mut text).at(written)?;
        page.render_description_section(&mut text).at(written)?;
        page.render_options_section(&mut text).at(written)?;
    }
    files::print(&String::from_utf8_lossy(&text))
}
