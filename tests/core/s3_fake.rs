//! A small S3 that fails when it is told to: objects in memory, and a list of answers that take the place of the right ones.
//!
//! It knows no signatures; moto and s3s-fs are there for that.

use ftpsync::target::ftp::Secret;
use ftpsync::target::s3::{S3Config, S3Target};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

/// An answer that takes the place of the right one.
#[derive(Clone)]
pub struct Answer {
    status: u16,
    headers: String,
    body: Vec<u8>,
    /// Hang up after so many bytes of the body.
    cut_after: Option<usize>,
}

impl Answer {
    pub fn new(status: u16, body: &str) -> Self {
        Answer { status, headers: String::new(), body: body.as_bytes().to_vec(), cut_after: None }
    }

    pub fn refusal(status: u16, code: &str) -> Self {
        Answer::new(status, &format!("<Error><Code>{code}</Code><Message>said the fake.</Message></Error>"))
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    pub fn cut_after(mut self, count: usize) -> Self {
        self.cut_after = Some(count);
        self
    }
}

/// How a server writes control characters in keys.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub enum Spelling {
    #[default]
    AsTheyAre,
    /// As servers written in Go do: they are lost, unless keys are asked for in an encoding.
    Lost,
    /// They are lost, whatever is asked for.
    LostForGood,
}

/// When everything happens, after three o'clock.
const MINUTE: &str = "04";

type Like = Box<dyn Fn(&Question) -> bool + Send>;
type Rule = (Like, Answer, usize);
type Happening = Box<dyn FnOnce(&FakeS3) + Send>;

/// What was asked.
#[derive(Debug, Clone)]
pub struct Question {
    pub method: String,
    /// The key, decoded; empty for the bucket itself.
    pub key: String,
    pub query: BTreeMap<String, String>,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Question {
    pub fn has(&self, name: &str) -> bool {
        self.query.contains_key(name)
    }

    fn get(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }
}

#[derive(Default)]
struct State {
    objects: BTreeMap<String, (Vec<u8>, String)>,
    /// Parts by number of upload.
    uploads: BTreeMap<String, (String, BTreeMap<u32, Vec<u8>>)>,
    asked: Vec<Question>,
    rules: Vec<Rule>,
    /// Answers that end after so many bytes, and how many of them.
    cuts: Vec<(Like, usize, usize)>,
    /// So many questions for ranges behind the first are answered together, if that is not 0.
    together: usize,
    waiting: usize,
    /// Keys on a page.
    page: usize,
    next: usize,
    /// It is gone for good once so many questions were answered.
    lasts: Option<usize>,
    /// How it writes control characters in keys.
    spelling: Spelling,
    /// Answers that take the place of the right ones after the work was done.
    late: Vec<Rule>,
    /// What it makes of the usual ETags.
    naming: Option<fn(&str) -> String>,
    /// Content is encrypted with keys that it does not tell.
    is_locked: bool,
    /// Headers of objects by key.
    meta: BTreeMap<String, Vec<(String, String)>>,
    /// The minute at which objects are dated; of the others it is [`MINUTE`].
    minutes: BTreeMap<String, &'static str>,
    /// Uploads have begun more than a day ago.
    is_late: bool,
    /// What happens after questions.
    meanwhile: Vec<(Like, Happening)>,
    /// It takes no notice of conditions, and does not say so.
    is_careless: bool,
}

/// A running server with the bucket `test`.
#[derive(Clone)]
pub struct FakeS3 {
    port: u16,
    state: Arc<Mutex<State>>,
    came: Arc<Condvar>,
}

impl FakeS3 {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State { page: 1000, ..State::default() }));
        let fake = FakeS3 { port, state, came: Arc::default() };
        let serving = fake.clone();
        // Ends with the tests.
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                if serving.is_gone() {
                    return;
                }
                let fake = serving.clone();
                std::thread::spawn(move || fake.serve(socket));
            }
        });
        fake
    }

    pub fn config(&self) -> S3Config {
        let mut config = S3Config::new("test", "");
        config.endpoint = Some(format!("http://127.0.0.1:{}", self.port));
        config.keys = Some(("AKFAKE".to_owned(), Secret::new("hidden")));
        config
    }

    pub fn target(&self) -> S3Target {
        S3Target::new(self.config()).unwrap()
    }

    pub fn put(&self, key: &str, content: &[u8]) {
        let etag = format!("{:x}", md5::compute(content));
        let mut state = self.state.lock().unwrap();
        state.meta.remove(key);
        state.minutes.remove(key);
        state.objects.insert(key.to_owned(), (content.to_vec(), etag));
    }

    /// Gives an object another ETag.
    pub fn name_version(&self, key: &str, etag: &str) {
        if let Some(object) = self.state.lock().unwrap().objects.get_mut(key) {
            object.1 = etag.to_owned();
        }
    }

    /// Adds a header to an object.
    pub fn keep_beside(&self, key: &str, name: &str, value: &str) {
        let header = (name.to_owned(), value.to_owned());
        self.state.lock().unwrap().meta.entry(key.to_owned()).or_default().push(header);
    }

    pub fn get(&self, key: &str) -> Option<Vec<u8>> {
        self.state.lock().unwrap().objects.get(key).map(|(content, _)| content.clone())
    }

    pub fn keys(&self) -> Vec<String> {
        self.state.lock().unwrap().objects.keys().cloned().collect()
    }

    /// More than a day goes by for the uploads that have begun.
    pub fn let_a_day_pass(&self) {
        self.state.lock().unwrap().is_late = true;
    }

    /// Begins an upload of this key, as another program does.
    pub fn begin_upload(&self, key: &str) {
        self.state.lock().unwrap().uploads.insert("of another".to_owned(), (key.to_owned(), BTreeMap::new()));
    }

    /// How many uploads have begun and not ended.
    pub fn uploads(&self) -> usize {
        self.state.lock().unwrap().uploads.len()
    }

    /// How control characters are written from now on.
    pub fn spell(&self, spelling: Spelling) {
        self.state.lock().unwrap().spelling = spelling;
    }

    pub fn page_of(&self, keys: usize) {
        self.state.lock().unwrap().page = keys;
    }

    /// What was asked since the last call.
    pub fn asked(&self) -> Vec<Question> {
        std::mem::take(&mut self.state.lock().unwrap().asked)
    }

    /// The next `times` questions like this get another answer.
    pub fn answer(&self, like: impl Fn(&Question) -> bool + Send + 'static, answer: Answer, times: usize) {
        self.state.lock().unwrap().rules.push((Box::new(like), answer, times));
    }

    /// The next `times` questions like this are done, and get another answer.
    pub fn answer_late(
        &self,
        like: impl Fn(&Question) -> bool + Send + 'static,
        answer: Answer,
        times: usize,
    ) {
        self.state.lock().unwrap().late.push((Box::new(like), answer, times));
    }

    /// From now on no condition is heeded, and nothing is told of copies but their ETag.
    pub fn be_careless(&self) {
        self.state.lock().unwrap().is_careless = true;
    }

    /// From now on ETags are what this makes of the usual ones.
    pub fn name_all(&self, naming: fn(&str) -> String) {
        self.state.lock().unwrap().naming = Some(naming);
    }

    /// From now on it encrypts, and ETags of contents and parts only look like sums.
    pub fn lock_up(&self) {
        self.name_all(|etag| {
            if etag.contains('-') {
                etag.to_owned()
            } else {
                format!("{:x}", md5::compute(format!("locked {etag}")))
            }
        });
        self.state.lock().unwrap().is_locked = true;
    }

    /// The right answers to the next `times` questions like this are cut after `count` bytes.
    pub fn cut(&self, like: impl Fn(&Question) -> bool + Send + 'static, count: usize, times: usize) {
        self.state.lock().unwrap().cuts.push((Box::new(like), count, times));
    }

    /// Does something once, right after the first question like this was answered.
    pub fn then(
        &self,
        like: impl Fn(&Question) -> bool + Send + 'static,
        what: impl FnOnce(&FakeS3) + Send + 'static,
    ) {
        self.state.lock().unwrap().meanwhile.push((Box::new(like), Box::new(what)));
    }

    /// From now on nobody gets a range behind the first before `count` were asked for.
    pub fn answer_together(&self, count: usize) {
        self.state.lock().unwrap().together = count;
    }

    /// Waits until enough others ask for ranges.
    fn wait_for_others(&self, question: &Question) {
        if question.headers.get("range").is_none_or(|range| range.starts_with("bytes=0-")) {
            return;
        }
        let mut state = self.state.lock().unwrap();
        state.waiting += 1;
        self.came.notify_all();
        let alone = |state: &mut State| state.waiting < state.together;
        let waited = self.came.wait_timeout_while(state, Duration::from_secs(20), alone).unwrap();
        assert!(!waited.1.timed_out(), "the ranges are asked for one by one");
    }

    /// Answers so many questions more, and is gone.
    pub fn last_for(&self, questions: usize) {
        let mut state = self.state.lock().unwrap();
        state.lasts = Some(state.asked.len() + questions);
    }

    fn is_gone(&self) -> bool {
        let state = self.state.lock().unwrap();
        state.lasts.is_some_and(|lasts| state.asked.len() >= lasts)
    }

    fn serve(&self, socket: TcpStream) {
        let mut reader = BufReader::new(socket.try_clone().unwrap());
        let mut socket = socket;
        while let Some(question) = read(&mut reader) {
            self.wait_for_others(&question);
            if self.is_gone() {
                // So that it listens no more.
                drop(TcpStream::connect(("127.0.0.1", self.port)));
                return;
            }
            let answer = {
                let mut state = self.state.lock().unwrap();
                state.asked.push(question.clone());
                let rule = state.rules.iter_mut().find(|(like, _, left)| *left > 0 && like(&question));
                match rule {
                    Some((_, answer, left)) => {
                        *left -= 1;
                        answer.clone()
                    }
                    None => {
                        let mut answer = state.answer(&question);
                        let cut = state.cuts.iter_mut().find(|(like, _, left)| *left > 0 && like(&question));
                        if let Some((_, count, left)) = cut {
                            *left -= 1;
                            answer.cut_after = Some((*count).min(answer.body.len()));
                        }
                        let late = state.late.iter_mut().find(|(like, _, left)| *left > 0 && like(&question));
                        match late {
                            Some((_, late, left)) => {
                                *left -= 1;
                                late.clone()
                            }
                            None => answer,
                        }
                    }
                }
            };
            let due = {
                let meanwhile = &mut self.state.lock().unwrap().meanwhile;
                meanwhile.iter().position(|(like, _)| like(&question)).map(|index| meanwhile.remove(index).1)
            };
            if let Some(what) = due {
                what(self);
            }
            let is_head = question.method == "HEAD";
            let length = if answer.headers.contains("content-length") {
                String::new()
            } else {
                format!("content-length: {}\r\n", answer.body.len())
            };
            let head = format!(
                "HTTP/1.1 {} X\r\ndate: Fri, 02 Jan 2026 03:04:05 GMT\r\n{}{length}\r\n",
                answer.status, answer.headers
            );
            let mut bytes = head.into_bytes();
            if !is_head {
                let end = answer.cut_after.unwrap_or(answer.body.len());
                bytes.extend_from_slice(&answer.body[..end]);
            }
            if socket.write_all(&bytes).is_err() || answer.cut_after.is_some() {
                return;
            }
        }
    }
}

impl State {
    fn etag(&self, content: &[u8]) -> String {
        self.named(format!("{:x}", md5::compute(content)))
    }

    fn named(&self, etag: String) -> String {
        self.naming.map_or_else(|| etag.clone(), |naming| naming(&etag))
    }

    fn describe(&mut self, question: &Question) {
        let kept = question.headers.iter().filter(|(name, _)| name.starts_with("x-amz-meta-"));
        let kept = kept.map(|(name, value)| (name.clone(), value.clone())).collect();
        self.meta.insert(question.key.clone(), kept);
    }

    fn with_lock(&self, answer: Answer) -> Answer {
        if self.is_locked { answer.header("x-amz-server-side-encryption", "aws:kms") } else { answer }
    }

    fn answer(&mut self, question: &Question) -> Answer {
        let key = question.key.as_str();
        match (question.method.as_str(), key.is_empty()) {
            ("GET", true) if question.has("uploads") => self.list_uploads(question),
            ("GET", true) => self.list(question),
            ("POST", true) => self.delete(question),
            ("GET" | "HEAD", false) => self.read(question),
            ("POST", false) if question.has("uploads") => {
                self.next += 1;
                let id = format!("upload-{}", self.next);
                self.uploads.insert(id.clone(), (key.to_owned(), BTreeMap::new()));
                self.describe(question);
                self.with_lock(Answer::new(
                    200,
                    &format!(
                        "<InitiateMultipartUploadResult><UploadId>{id}</UploadId></InitiateMultipartUploadResult>"
                    ),
                ))
            }
            ("POST", false) => self.complete(question),
            ("PUT", false) if question.has("partNumber") => {
                let etag = self.etag(&question.body);
                let Some((_, parts)) = self.uploads.get_mut(question.get("uploadId")) else {
                    return Answer::refusal(404, "NoSuchUpload");
                };
                parts.insert(question.get("partNumber").parse().unwrap(), question.body.clone());
                Answer::new(200, "").header("etag", &format!("\"{etag}\""))
            }
            ("PUT", false) => {
                if let Some(refusal) = self.unmet(question) {
                    return refusal;
                }
                if let Some(source) = question.headers.get("x-amz-copy-source") {
                    let source = ftpsync::wire::s3::decoded(source.trim_start_matches("test/")).unwrap();
                    let Some(found) = self.objects.get(&source).cloned() else {
                        return Answer::refusal(404, "NoSuchKey");
                    };
                    let wanted = question.headers.get("x-amz-copy-source-if-match");
                    if wanted.is_some_and(|etag| !self.is_careless && etag.trim_matches('"') != found.1) {
                        return Answer::refusal(412, "PreconditionFailed");
                    }
                    let date = if self.is_careless {
                        ""
                    } else {
                        "<LastModified>2026-01-02T03:08:05.000Z</LastModified>"
                    };
                    let told =
                        format!("<CopyObjectResult><ETag>\"{}\"</ETag>{date}</CopyObjectResult>", found.1);
                    // A copy is as old as itself.
                    self.minutes.insert(key.to_owned(), "08");
                    self.objects.insert(key.to_owned(), found);
                    return Answer::new(200, &told);
                }
                let etag = self.etag(&question.body);
                self.describe(question);
                self.minutes.remove(key);
                self.objects.insert(key.to_owned(), (question.body.clone(), etag.clone()));
                self.with_lock(Answer::new(200, "").header("etag", &format!("\"{etag}\"")))
            }
            ("DELETE", false) if question.has("uploadId") => {
                self.uploads.remove(question.get("uploadId"));
                Answer::new(204, "")
            }
            ("DELETE", false) => {
                self.objects.remove(key);
                Answer::new(204, "")
            }
            _ => Answer::refusal(405, "MethodNotAllowed"),
        }
    }

    fn minute(&self, key: &str) -> &'static str {
        self.minutes.get(key).copied().unwrap_or(MINUTE)
    }

    fn unmet(&self, question: &Question) -> Option<Answer> {
        if self.is_careless {
            return None;
        }
        let there = self.objects.get(&question.key);
        let is_met = match (question.headers.get("if-match"), question.headers.get("if-none-match")) {
            (Some(etag), _) => there.is_some_and(|(_, known)| etag.trim_matches('"') == known),
            (None, Some(_)) => there.is_none(),
            (None, None) => true,
        };
        (!is_met).then(|| Answer::refusal(412, "PreconditionFailed"))
    }

    fn list(&self, question: &Question) -> Answer {
        let (prefix, delimiter) = (question.get("prefix"), question.get("delimiter"));
        let after = question.get("continuation-token");
        let most = question.get("max-keys").parse().unwrap_or(self.page).min(self.page);
        let is_encoded = question.has("encoding-type") && self.spelling != Spelling::LostForGood;
        let spelled = |key: &str| match (is_encoded, self.spelling) {
            (true, _) => ftpsync::wire::s3::encoded(key, "/"),
            (false, Spelling::AsTheyAre) => escaped(key),
            (false, _) => escaped(&key.replace(char::is_control, "\u{fffd}")),
        };
        let (mut items, mut seen, mut last, mut is_cut) = (String::new(), BTreeSet::new(), "", false);
        let mut count = 0;
        for (key, (content, etag)) in self.objects.range(prefix.to_owned()..) {
            if !key.starts_with(prefix) {
                break;
            }
            if key.as_str() <= after {
                continue;
            }
            let below = key[prefix.len()..].split_once('/').filter(|_| !delimiter.is_empty());
            if let Some((name, _)) = below
                && (after.starts_with(&format!("{prefix}{name}/")) || seen.contains(name))
            {
                last = key;
                continue;
            }
            if count == most {
                is_cut = true;
                break;
            }
            count += 1;
            last = key;
            match below {
                Some((name, _)) => {
                    seen.insert(name);
                    items.push_str(&format!("<CommonPrefixes><Prefix>{}</Prefix></CommonPrefixes>", spelled(&format!("{prefix}{name}/"))));
                }
                None => items.push_str(&format!(
                    "<Contents><Key>{}</Key><Size>{}</Size><ETag>\"{etag}\"</ETag><LastModified>2026-01-02T03:{}:05.000Z</LastModified></Contents>",
                    spelled(key),
                    content.len(),
                    self.minute(key)
                )),
            }
        }
        let token = if is_cut {
            format!("<NextContinuationToken>{}</NextContinuationToken>", escaped(last))
        } else {
            String::new()
        };
        let encoding = if is_encoded { "<EncodingType>url</EncodingType>" } else { "" };
        Answer::new(
            200,
            &format!(
                "<ListBucketResult>{encoding}<IsTruncated>{is_cut}</IsTruncated>{token}{items}</ListBucketResult>"
            ),
        )
    }

    fn read(&self, question: &Question) -> Answer {
        let Some((content, etag)) = self.objects.get(&question.key) else {
            return Answer::refusal(404, "NoSuchKey");
        };
        if let Some(refusal) = self.unmet(question) {
            return refusal;
        }
        let mut answer = self
            .with_lock(Answer::new(200, ""))
            .header("etag", &format!("\"{etag}\""))
            .header("last-modified", &format!("Fri, 02 Jan 2026 03:{}:05 GMT", self.minute(&question.key)));
        for (name, value) in self.meta.get(&question.key).into_iter().flatten() {
            answer = answer.header(name, value);
        }
        if question.method == "HEAD" {
            return answer.header("content-length", &content.len().to_string());
        }
        let range = question.headers.get("range").and_then(|range| range.strip_prefix("bytes="));
        let Some((from, to)) = range.and_then(|range| range.split_once('-')) else {
            return Answer { body: content.clone(), ..answer };
        };
        let (from, to): (usize, usize) = (from.parse().unwrap(), to.parse().unwrap_or(usize::MAX));
        if from >= content.len() {
            return Answer::refusal(416, "InvalidRange");
        }
        let to = to.min(content.len() - 1);
        let answer = answer.header("content-range", &format!("bytes {from}-{to}/{}", content.len()));
        Answer { status: 206, body: content[from..=to].to_vec(), ..answer }
    }

    fn delete(&mut self, question: &Question) -> Answer {
        let text = String::from_utf8(question.body.clone()).unwrap();
        for part in text.split("<Key>").skip(1) {
            let key = part.split("</Key>").next().unwrap();
            self.objects.remove(&key.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"));
        }
        Answer::new(200, "<DeleteResult/>")
    }

    fn complete(&mut self, question: &Question) -> Answer {
        if let Some(refusal) = self.unmet(question) {
            return refusal;
        }
        let Some((key, parts)) = self.uploads.remove(question.get("uploadId")) else {
            return Answer::refusal(404, "NoSuchUpload");
        };
        let names = parts.values().map(|part| self.etag(part));
        let sums: Vec<u8> = names
            .flat_map(|name| data_encoding::HEXLOWER_PERMISSIVE.decode(name.as_bytes()).unwrap())
            .collect();
        let etag = self.named(format!("{:x}-{}", md5::compute(&sums), parts.len()));
        // As AWS does it: the time at which the upload began.
        self.minutes.insert(key.clone(), "01");
        self.objects.insert(key, (parts.into_values().flatten().collect(), etag.clone()));
        Answer::new(
            200,
            &format!(
                "<CompleteMultipartUploadResult><ETag>\"{etag}\"</ETag></CompleteMultipartUploadResult>"
            ),
        )
    }

    fn list_uploads(&self, question: &Question) -> Answer {
        let mut items = String::new();
        let (day, second) = if self.is_late { (1, 4) } else { (2, 5) };
        for (id, (key, _)) in
            self.uploads.iter().filter(|(_, (key, _))| key.starts_with(question.get("prefix")))
        {
            items.push_str(&format!("<Upload><Key>{}</Key><UploadId>{id}</UploadId><Initiated>2026-01-0{day}T03:04:0{second}.000Z</Initiated></Upload>", escaped(key)));
        }
        Answer::new(200, &format!("<ListMultipartUploadsResult>{items}</ListMultipartUploadsResult>"))
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

fn read(reader: &mut BufReader<TcpStream>) -> Option<Question> {
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|count| *count > 0)?;
    let mut words = line.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok().filter(|count| *count > 0)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_owned(), value.to_owned());
    }
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let plain = |text: &str| ftpsync::wire::s3::decoded(&text.replace('+', "%2B")).unwrap();
    let query = query.split('&').filter(|part| !part.is_empty()).map(|part| {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        (plain(name), plain(value))
    });
    let key = plain(path.strip_prefix("/test").unwrap_or(path).trim_start_matches('/'));
    Some(Question { method, key, query: query.collect(), headers, body })
}
