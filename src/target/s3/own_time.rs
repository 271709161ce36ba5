//! The time that an object carries with it, in the words of those who put objects there.

use super::write::MTIME;
use crate::model::Stamp;
use crate::wire::s3::http::Head;

/// Where s3cmd keeps what it knows of a file: `uid:0/mode:33188/mtime:1600000000/...`.
const OF_S3CMD: &str = "x-amz-meta-s3cmd-attrs";
/// Where DataSync and the file gateway of AWS keep it: nanoseconds, as `1600000000000000000ns`.
const OF_AWS: &str = "x-amz-meta-file-mtime";

/// The modification time of the file that was put there, if whoever did it wrote it down: this tool, rclone, s3fs, s3cmd, and
/// some services of AWS.
pub fn own_time(head: &Head) -> Option<Stamp> {
    let seconds = |text: &str| text.trim().parse().ok().and_then(Stamp::from_secs_f64);
    let of_s3cmd =
        |text: &str| text.split('/').find_map(|fact| fact.trim().strip_prefix("mtime:").map(str::to_owned));
    let of_aws = |text: &str| {
        let nanos: i128 = text.trim().strip_suffix("ns")?.parse().ok()?;
        let fraction = u32::try_from(nanos.rem_euclid(1_000_000_000)).ok()?;
        Some(Stamp::new(i64::try_from(nanos.div_euclid(1_000_000_000)).ok()?, fraction))
    };
    head.get(MTIME)
        .and_then(seconds)
        .or_else(|| head.get(OF_S3CMD).and_then(of_s3cmd).as_deref().and_then(seconds))
        .or_else(|| head.get(OF_AWS).and_then(of_aws))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(header: &str) -> Option<Stamp> {
        own_time(&Head::parse(format!("HTTP/1.1 200 OK\r\n{header}\r\n\r\n").as_bytes()).unwrap())
    }

    #[test]
    fn the_times_that_other_tools_write_down_are_understood() {
        let expected = Some(Stamp::new(1_600_000_000, 0));
        assert_eq!(told("x-amz-meta-mtime: 1600000000"), expected);
        assert_eq!(told("X-Amz-Meta-Mtime: 1600000000.000000000"), expected);
        assert_eq!(told("x-amz-meta-mtime: 1600000000.5").unwrap().nanos(), 500_000_000);
        assert_eq!(
            told("x-amz-meta-s3cmd-attrs: atime:1/uid:0/gname:a b/mtime:1600000000/mode:33188"),
            expected
        );
        assert_eq!(told("x-amz-meta-file-mtime: 1600000000000000000ns"), expected);
    }

    #[test]
    fn what_is_no_time_is_none() {
        for odd in [
            "x-amz-meta-mtime: yesterday",
            "x-amz-meta-mtime: nan",
            "x-amz-meta-mtime: 1e300",
            "x-amz-meta-s3cmd-attrs: ctime:5",
            "x-amz-meta-file-mtime: 1600000000",
            "x-amz-meta-file-mtime: -99999999999999999999999999999999ns",
            "etag: x",
        ] {
            assert_eq!(told(odd), None, "{odd}");
        }
    }
}
