//! Requests fail that would bring the live bytes above a bound.

use crate::plan::Request;

pub(crate) fn refuses(request: &Request, bytes: usize) -> bool {
    request.live_after > bytes && request.live_after > request.live
}
