//! The server's replies, compared with what the protocol's document demands.

use mallory::Heap;
use mallory_scenarios::services::lfs_batch::server::{Call, Server};
use mallory_scenarios::services::lfs_batch::store::MemoryStore;

use super::session::{EMPTY, LOGO, MESH};

struct Client(Server<MemoryStore>);

impl Client {
    fn new() -> Self {
        let heap = Heap::new();
        Client(Server::new(&heap, MemoryStore::new(&heap)))
    }

    fn expect(&mut self, call: Call<'_>, status: u16, body: &str) {
        let reply = self.0.answer(call).unwrap();
        assert_eq!((reply.status(), reply.body()), (status, body), "{call:?}");
    }

    fn batch(&mut self, request: &str, status: u16, body: &str) {
        self.expect(Call::Batch(request.as_bytes()), status, body);
    }

    fn complain(&mut self, request: &str, status: u16, message: &str) {
        self.batch(request, status, &format!(r#"{{"message":"{message}"}}"#));
    }
}

#[test]
fn an_object_goes_from_announced_to_removed() {
    let mut client = Client::new();
    let wanted = format!(r#"{{"oid":"{EMPTY}","size":0}}"#);
    let verify = Call::Verify(wanted.as_bytes());
    let upload = Call::Upload { oid: EMPTY, content_type: Some("text/plain"), content: b"" };
    let absent = r#"{"message":"object does not exist"}"#;
    let push = format!(
        r#"{{"operation":"upload","ref":{{"name":"refs/heads/main"}},"objects":[{wanted}]}}"#
    );
    let pull = format!(r#"{{"operation":"download","objects":[{wanted}]}}"#);

    client.expect(upload, 404, absent);
    client.batch(
        &push,
        200,
        &format!(
            r#"{{"transfer":"basic","objects":[{{"oid":"{EMPTY}","size":0,"authenticated":true,"actions":{{"upload":{{"href":"https://lfs.example.com/objects/{EMPTY}","header":{{"Content-Type":"application/octet-stream"}},"expires_in":3600}},"verify":{{"href":"https://lfs.example.com/verify","header":{{"Accept":"application/vnd.git-lfs+json"}},"expires_in":3600}}}}}}],"hash_algo":"sha256"}}"#
        ),
    );
    client.expect(verify, 404, absent);
    client.batch(
        &pull,
        200,
        &format!(
            r#"{{"transfer":"basic","objects":[{{"oid":"{EMPTY}","size":0,"error":{{"code":404,"message":"object does not exist"}}}}],"hash_algo":"sha256"}}"#
        ),
    );
    client.expect(upload, 200, "{}");
    client.expect(verify, 200, "{}");
    client.batch(
        &pull,
        200,
        &format!(
            r#"{{"transfer":"basic","objects":[{{"oid":"{EMPTY}","size":0,"authenticated":true,"actions":{{"download":{{"href":"https://lfs.example.com/objects/{EMPTY}","header":{{"Accept":"application/octet-stream"}},"expires_in":3600}}}}}}],"hash_algo":"sha256"}}"#
        ),
    );
    // An object that the server has needs no actions.
    client.batch(
        &push,
        200,
        &format!(
            r#"{{"transfer":"basic","objects":[{{"oid":"{EMPTY}","size":0,"authenticated":true}}],"hash_algo":"sha256"}}"#
        ),
    );
    client.expect(
        Call::List,
        200,
        &format!(
            r#"{{"objects":[{{"oid":"{EMPTY}","size":0,"state":"verified","ref":"refs/heads/main","content_type":"text/plain"}}]}}"#
        ),
    );
    client.expect(Call::Remove(EMPTY), 200, "{}");
    client.expect(Call::Remove(EMPTY), 404, absent);
    client.expect(Call::List, 200, r#"{"objects":[]}"#);
}

#[test]
fn errors_of_single_objects_stand_beside_the_others() {
    let mut client = Client::new();
    client.batch(
        &format!(
            r#"{{"operation":"upload","objects":[{{"oid":"\u00e9\"\n","size":1}},{{"oid":"{LOGO}","size":42}},{{"oid":"{LOGO}","size":43}}]}}"#
        ),
        200,
        &format!(
            r#"{{"transfer":"basic","objects":[{{"oid":"é\"\n","size":1,"error":{{"code":422,"message":"oid is not 64 lower-case hexadecimal digits"}}}},{{"oid":"{LOGO}","size":42,"authenticated":true,"actions":{{"upload":{{"href":"https://lfs.example.com/objects/{LOGO}","header":{{"Content-Type":"application/octet-stream"}},"expires_in":3600}},"verify":{{"href":"https://lfs.example.com/verify","header":{{"Accept":"application/vnd.git-lfs+json"}},"expires_in":3600}}}}}},{{"oid":"{LOGO}","size":43,"error":{{"code":422,"message":"size is not the object's"}}}}],"hash_algo":"sha256"}}"#
        ),
    );
    client.expect(
        Call::List,
        200,
        &format!(r#"{{"objects":[{{"oid":"{LOGO}","size":42,"state":"pending"}}]}}"#),
    );
}

#[test]
fn an_upload_of_nothing_valid_is_refused_as_a_whole() {
    let mut client = Client::new();
    client.complain(
        r#"{"operation":"upload","objects":[{"oid":"x","size":1},{"oid":"y","size":1}]}"#,
        422,
        "objects: none of them is valid",
    );
    client.batch(
        r#"{"operation":"upload","objects":[]}"#,
        200,
        r#"{"transfer":"basic","objects":[],"hash_algo":"sha256"}"#,
    );
}

#[test]
fn contents_are_held_against_their_id_and_size() {
    let mut client = Client::new();
    client.expect(
        Call::Pointer(&format!(
            "version https://git-lfs.github.com/spec/v1\noid sha256:{MESH}\nsize 5\n"
        )),
        200,
        &format!(
            r#"{{"oid":"{MESH}","size":5,"state":"pending","pointer":"version https://git-lfs.github.com/spec/v1\noid sha256:{MESH}\nsize 5\n"}}"#
        ),
    );
    let upload = |content: &'static [u8]| Call::Upload { oid: MESH, content_type: None, content };
    let size = r#"{"message":"size is not the object's"}"#;
    client.expect(upload(b"longer"), 422, size);
    let content = r#"{"message":"content is not the object's"}"#;
    client.expect(upload(b"wrong"), 422, content);
    let verify = format!(r#"{{"oid":"{MESH}","size":5}}"#);
    let absent = r#"{"message":"object does not exist"}"#;
    client.expect(Call::Verify(verify.as_bytes()), 404, absent);
}

#[test]
fn requests_are_judged_in_the_protocols_order_whatever_their_own() {
    let mut client = Client::new();
    for (request, status, message) in [
        ("7", 422, "request: not an object"),
        ("{}", 422, "operation: missing"),
        (r#"{"objects":5,"operation":5}"#, 422, "operation: not a string"),
        (r#"{"operation":"fetch"}"#, 422, "operation: neither upload nor download"),
        (r#"{"operation":"upload"}"#, 422, "objects: missing"),
        (r#"{"objects":5,"operation":"upload"}"#, 422, "objects: not a list"),
        (r#"{"objects":[null],"operation":"upload"}"#, 422, "objects[0]: missing"),
        (r#"{"objects":[[]],"operation":"upload"}"#, 422, "objects[0]: not an object"),
        (r#"{"objects":[{}],"operation":"upload"}"#, 422, "objects[0].oid: missing"),
        (
            r#"{"operation":"download","objects":[{"oid":"","size":0},{"size":"1","oid":""}]}"#,
            422,
            "objects[1].size: not a whole number",
        ),
        (
            r#"{"operation":"download","transfers":["ssh"],"objects":[]}"#,
            422,
            "transfers: only basic is served",
        ),
        (r#"{"operation":"download","ref":{}}"#, 422, "ref: not an object with a name"),
        (r#"{"operation":"download","hash_algo":"sha1"}"#, 409, "hash_algo: only sha256 is served"),
    ] {
        client.complain(request, status, message);
    }
}

#[test]
fn malformed_json_is_located() {
    let mut client = Client::new();
    let deep = format!(r#"{{"x":{}"#, "[".repeat(10 << 10));
    for (request, at) in [
        ("", 0),
        (" \n", 2),
        ("nul", 0),
        (r#"{"a":1,}"#, 7),
        (r#"{"a" 1}"#, 5),
        (r#"{"a":[1 2]}"#, 8),
        (r#"{"a":"x"#, 5),
        (r#"{"a":"\ud800"}"#, 5),
        (r#"{"a":01}"#, 5),
        (r#"{"a":1}}"#, 7),
    ] {
        client.complain(request, 400, &format!("malformed JSON at byte {at}"));
    }
    client.complain(&deep, 400, "JSON nested deeper than 32 levels at byte 36");
    client.expect(Call::Batch(b"{\xff"), 400, r#"{"message":"not UTF-8 at byte 1"}"#);
}

#[test]
fn pointer_files_are_read_strictly() {
    let mut client = Client::new();
    let version = "version https://git-lfs.github.com/spec/v1\n";
    let oid = format!("oid sha256:{LOGO}\n");
    let ext = |key: &str| format!("{key} sha256:{EMPTY}\n");
    for (text, line, problem) in [
        (String::new(), 1, "the file ends before it"),
        (format!("{version}{oid}"), 3, "the file ends before it"),
        (format!("{version}{oid}size 1"), 3, "no newline at its end"),
        (format!("{version}{oid}size  1\n"), 3, "not a size"),
        (format!("{version}{oid}size 01\n"), 3, "not a size"),
        (format!("{version}{oid}size 1\nx y\n"), 4, "more lines than a pointer file has"),
        (format!("{version}size 1\n{oid}"), 2, "another key is expected here"),
        (format!("{version}oid md5:{LOGO}\nsize 1\n"), 2, "not a SHA-256 object id"),
        (format!("version 2\n{oid}size 1\n"), 1, "an unknown version"),
        (format!("{version}\r\n"), 2, "no space between key and value"),
        (format!("{version}{}", ext("ext-x-a")), 2, "not an extension's key"),
        (format!("{version}{}{}", ext("ext-1-a"), ext("ext-0-b")), 3, "extensions are not sorted"),
        (" ".repeat(1024), 1, "the file is not smaller than 1024 bytes"),
    ] {
        let message = format!(r#"{{"message":"pointer file, line {line}: {problem}"}}"#);
        client.expect(Call::Pointer(&text), 422, &message);
    }
    let (first, second) = (ext("ext-0-scan"), ext("ext-1-x.y"));
    client.expect(
        Call::Pointer(&format!("{version}{first}{second}{oid}size 42\n")),
        200,
        &format!(
            r#"{{"oid":"{LOGO}","size":42,"state":"pending","pointer":"{}"}}"#,
            format!("{version}{first}{second}{oid}size 42\n").replace('\n', "\\n")
        ),
    );
}
