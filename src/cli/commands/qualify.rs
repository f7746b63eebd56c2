//! stub
use super::{App, CliError, Status};
use crate::cli::args::QualifyArgs;
pub(super) fn qualify(_app: &App, _args: &QualifyArgs) -> Result<Status, CliError> {
    Ok(Status::Complete)
}
