//! The rows of `show stat` in HAProxy's columns.

use super::statistics::{StatBackend, StatCheck, StatCounts, StatRow, StatServer, StatSubject};
use crate::haproxy::Mode;
use crate::{Address, AdminState, OperationalState};

/// HAProxy's columns, in its order. Those it has no row for here stay empty.
const COLUMNS: &str = "pxname,svname,qcur,qmax,scur,smax,slim,stot,bin,bout,dreq,dresp,ereq,econ,\
    eresp,wretr,wredis,status,weight,act,bck,chkfail,chkdown,lastchg,downtime,qlimit,pid,iid,sid,\
    throttle,lbtot,tracked,type,rate,rate_lim,rate_max,check_status,check_code,check_duration,\
    hrsp_1xx,hrsp_2xx,hrsp_3xx,hrsp_4xx,hrsp_5xx,hrsp_other,hanafail,req_rate,req_rate_max,\
    req_tot,cli_abrt,srv_abrt,comp_in,comp_out,comp_byp,comp_rsp,lastsess,last_chk,last_agt,\
    qtime,ctime,rtime,ttime,agent_status,agent_code,agent_duration,check_desc,agent_desc,\
    check_rise,check_fall,check_health,agent_rise,agent_fall,agent_health,addr,cookie,mode,algo,\
    conn_rate,conn_rate_max,conn_tot,intercepted,dcon,dses,wrew,connect,reuse,cache_lookups,\
    cache_hits,srv_icur,src_ilim,qtime_max,ctime_max,rtime_max,ttime_max,eint,idle_conn_cur,\
    safe_conn_cur,used_conn_cur,need_conn_est,uweight,agg_server_status,agg_server_check_status,\
    agg_check_status,-,ssl_sess,ssl_reused_sess,ssl_failed_handshake,h2_headers_rcvd,\
    h2_data_rcvd,h2_settings_rcvd,h2_rst_stream_rcvd,h2_goaway_rcvd,\
    h2_detected_conn_protocol_errors,h2_detected_strm_protocol_errors,h2_rst_stream_resp,\
    h2_goaway_resp,h2_open_connections,h2_backend_open_streams,h2_total_connections,\
    h2_backend_total_streams,h1_open_connections,h1_open_streams,h1_total_connections,\
    h1_total_streams,h1_bytes_in,h1_bytes_out,h1_spliced_bytes_in,h1_spliced_bytes_out,";

/// The rows as `show stat` and `;csv` of HAProxy's page have them: a line of names, and a
/// line about each row. What is not kept is empty.
pub fn statistics_csv(rows: &[StatRow]) -> String {
    let mut text = format!("# {COLUMNS}\n");
    for row in rows {
        row.write(&mut text);
    }
    text
}

/// One line, filled from left to right.
struct Line<'t> {
    names: std::str::Split<'static, char>,
    text: &'t mut String,
}

impl Line<'_> {
    /// Goes on to the column of this name, and leaves those before it empty.
    fn set<V: ToString + ?Sized>(&mut self, name: &str, value: &V) {
        for column in self.names.by_ref() {
            if column == name {
                self.write(&value.to_string());
                break;
            }
            self.text.push(',');
        }
    }

    fn set_all<V: ToString>(&mut self, values: &[(&str, V)]) {
        for (name, value) in values {
            self.set(name, value);
        }
    }

    fn set_some(&mut self, name: &str, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.set(name, &value);
        }
    }

    /// Quoted if it has to be (RFC 4180).
    fn write(&mut self, value: &str) {
        if value.contains([',', '"', '\n', '\r']) {
            let doubled = value.replace('"', "\"\"");
            self.text.extend(["\"", &doubled, "\""]);
        } else {
            self.text.push_str(value);
        }
        self.text.push(',');
    }

    fn end(self) {
        // The last name is that of no column: HAProxy's lines end with a comma.
        let left = self.names.count().saturating_sub(1);
        self.text.extend(std::iter::repeat_n(',', left));
        self.text.push('\n');
    }
}

impl StatRow {
    fn write(&self, text: &mut String) {
        let mut line = Line {
            names: COLUMNS.split(','),
            text,
        };
        line.set("pxname", &self.section);
        line.set("svname", self.subject.name());
        match &self.subject {
            StatSubject::Frontend { session_limit } => self.frontend(*session_limit, &mut line),
            StatSubject::Backend(backend) => self.backend(backend, &mut line),
            StatSubject::Server(server) => self.server(server, &mut line),
        }
        line.set("-", "-");
        line.end();
    }

    fn frontend(&self, limit: Option<u32>, line: &mut Line<'_>) {
        let counts = &self.counts;
        self.sessions(limit, line);
        line.set_all(&[
            ("dreq", counts.denied_requests),
            ("dresp", counts.denied_responses),
            ("ereq", counts.request_errors),
        ]);
        line.set("status", "OPEN");
        self.ids(0, 0, line);
        self.responses(line);
        line.set("mode", mode(self.mode));
        line.set("conn_tot", &counts.connections);
        if self.mode == Mode::Http {
            line.set("intercepted", &counts.intercepted);
        }
        line.set_all(&[
            ("dcon", counts.denied_connections),
            ("dses", counts.denied_sessions),
        ]);
    }

    fn backend(&self, backend: &StatBackend, line: &mut Line<'_>) {
        self.queue(backend.queued, line);
        self.sessions(backend.session_limit, line);
        line.set("dreq", &self.counts.denied_requests);
        self.errors(line);
        let status = if backend.is_up { "UP" } else { "DOWN" };
        match backend.running {
            Some((running, all)) => line.set("status", &format!("{status} ({running}/{all})")),
            None => line.set("status", status),
        }
        line.set_all(&[
            ("weight", backend.weight),
            ("act", backend.active),
            ("bck", backend.backups),
        ]);
        self.ids(0, 1, line);
        self.responses(line);
        self.aborts(backend.last_session, line);
        line.set_some("cookie", backend.cookie.as_ref());
        line.set("mode", mode(self.mode));
        line.set("algo", &backend.algorithm);
        line.set("uweight", &backend.weight);
    }

    fn server(&self, server: &StatServer, line: &mut Line<'_>) {
        let weight = server.status.weight().get();
        self.queue(server.queued, line);
        self.sessions(server.session_limit, line);
        self.errors(line);
        line.set("status", &status(server));
        line.set("weight", &weight);
        line.set("act", &u8::from(!server.is_backup));
        line.set("bck", &u8::from(server.is_backup));
        line.set("lastchg", &server.last_change);
        line.set_some("qlimit", server.queue_limit);
        self.ids(server.id, 2, line);
        if let Some(check) = &server.check {
            check_result(check, line);
        }
        self.responses(line);
        self.aborts(server.last_session, line);
        if let Some(check) = &server.check {
            check_words(check, line);
        }
        line.set_some("addr", address(&server.address));
        line.set_some("cookie", server.cookie.as_ref());
        line.set("mode", mode(self.mode));
        line.set("uweight", &weight);
    }

    fn queue(&self, queued: u32, line: &mut Line<'_>) {
        let most = self.counts.most_queued.max(u64::from(queued));
        line.set_all(&[("qcur", u64::from(queued)), ("qmax", most)]);
    }

    fn sessions(&self, limit: Option<u32>, line: &mut Line<'_>) {
        let StatCounts { current, most, .. } = self.counts;
        line.set_all(&[("scur", current), ("smax", most.max(current))]);
        line.set_some("slim", limit);
        line.set_all(&[
            ("stot", self.counts.sessions),
            ("bin", self.counts.bytes_in),
            ("bout", self.counts.bytes_out),
        ]);
    }

    fn errors(&self, line: &mut Line<'_>) {
        line.set_all(&[
            ("dresp", self.counts.denied_responses),
            ("econ", self.counts.connection_errors),
            ("eresp", self.counts.response_errors),
            ("wretr", self.counts.retries),
            ("wredis", self.counts.redispatches),
        ]);
    }

    /// 1 is the only process.
    fn ids(&self, id: u32, kind: u32, line: &mut Line<'_>) {
        line.set_all(&[("pid", 1), ("iid", self.section_id), ("sid", id)]);
        if kind > 0 {
            line.set("lbtot", &self.counts.balanced);
        }
        line.set("type", &kind);
    }

    fn responses(&self, line: &mut Line<'_>) {
        const NAMES: [&str; 6] = [
            "hrsp_1xx",
            "hrsp_2xx",
            "hrsp_3xx",
            "hrsp_4xx",
            "hrsp_5xx",
            "hrsp_other",
        ];
        if self.mode == Mode::Http {
            for (name, count) in NAMES.iter().zip(self.counts.responses) {
                line.set(name, &count);
            }
            line.set("req_tot", &self.counts.requests);
        }
    }

    fn aborts(&self, last_session: Option<u64>, line: &mut Line<'_>) {
        line.set_all(&[
            ("cli_abrt", self.counts.client_aborts),
            ("srv_abrt", self.counts.server_aborts),
        ]);
        line.set(
            "lastsess",
            &last_session.map_or(-1, |seconds| seconds as i64),
        );
    }
}

fn check_result(check: &StatCheck, line: &mut Line<'_>) {
    line.set("check_status", &check.report.status());
    line.set_some("check_code", check.report.code());
    let duration = check.duration.map(|duration| duration.as_millis());
    line.set_some("check_duration", duration);
}

fn check_words(check: &StatCheck, line: &mut Line<'_>) {
    line.set("last_chk", check.report.info());
    line.set("check_desc", check.report.status().description());
    let policy = check.health.policy();
    line.set_all(&[
        ("check_rise", policy.rises_after()),
        ("check_fall", policy.falls_after()),
        ("check_health", check.health.health()),
    ]);
}

const fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Http => "http",
        Mode::Tcp => "tcp",
    }
}

/// HAProxy's words, and how far a server is on its way up or down.
fn status(server: &StatServer) -> String {
    let word = word(server);
    let Some(check) = &server.check else {
        return word.to_owned();
    };
    let policy = check.health.policy();
    let (rise, fall) = (policy.rises_after(), policy.falls_after());
    let health = check.health.health();
    match word {
        "DOWN" if health > 0 => format!("DOWN {health}/{rise}"),
        "UP" | "NOLB" if health < rise.saturating_add(fall - 1) => {
            format!("{word} {}/{fall}", (health + 1).saturating_sub(rise))
        }
        _ => word.to_owned(),
    }
}

const fn word(server: &StatServer) -> &'static str {
    match (server.status.admin(), server.status.operational()) {
        (AdminState::Maintenance, _) => "MAINT",
        (_, OperationalState::Stopped) => "DOWN",
        (_, OperationalState::Stopping) => "NOLB",
        (AdminState::Drain, _) => "DRAIN",
        (AdminState::Ready, _) if server.is_checked => "UP",
        (AdminState::Ready, _) => "no check",
    }
}

/// What waits for a name to be resolved has none.
fn address(address: &Address) -> Option<String> {
    match address {
        Address::Ip(socket) => Some(socket.to_string()),
        Address::Host(..) => None,
        Address::Unix(_) => Some("unix".to_owned()),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::{Backend, Now, Server, SimpleRequest};

    /// Every count is another number.
    fn counts() -> StatCounts {
        StatCounts {
            current: 1,
            most: 2,
            sessions: 3,
            most_queued: 4,
            bytes_in: 5,
            bytes_out: 6,
            denied_requests: 7,
            denied_responses: 8,
            denied_connections: 9,
            denied_sessions: 10,
            request_errors: 11,
            connection_errors: 12,
            response_errors: 13,
            retries: 14,
            redispatches: 15,
            balanced: 16,
            responses: [17, 18, 19, 20, 21, 22],
            requests: 23,
            client_aborts: 24,
            server_aborts: 25,
            connections: 26,
            intercepted: 27,
        }
    }

    /// A frontend, three servers and their backend.
    pub(in super::super) fn rows() -> Vec<StatRow> {
        let now = Now::new(std::time::Duration::ZERO, std::time::Duration::ZERO);
        let backend: Backend = Backend::builder("app")
            .server(
                Server::new("s1", "10.0.0.1:80")
                    .weight(10)
                    .max_connections(9),
            )
            .server(Server::new("s2", "10.0.0.2:80").backup())
            .server(Server::new("s3", "/a,b").admin_state(AdminState::Maintenance))
            .build()
            .unwrap();
        let selection = backend.select(&SimpleRequest::new("GET", "/"), now);
        let farm = backend.farm();
        let servers = farm.servers().iter().map(|server| {
            let mut server = StatServer::of(server, now, now);
            server.cookie = Some("c\"1".into());
            StatSubject::Server(server)
        });
        let mut state = StatBackend::of(&backend);
        state.algorithm = "roundrobin".into();
        let front = StatSubject::Frontend {
            session_limit: Some(500),
        };
        let subjects = [front].into_iter().chain(servers);
        let subjects = subjects.chain([StatSubject::Backend(state)]);
        let rows = subjects.map(|subject| StatRow {
            counts: counts(),
            ..StatRow::new("app", 7, Mode::Http, subject)
        });
        drop(selection);
        rows.collect()
    }

    /// The cells that are not empty, as `name=value`.
    fn cells(line: &str) -> Vec<String> {
        let names: Vec<_> = COLUMNS.split(',').collect();
        assert_eq!(line.split(',').count(), names.len(), "{line}");
        let cells = names.iter().zip(line.split(','));
        let filled = cells.filter(|(_, value)| !value.is_empty());
        filled
            .map(|(name, value)| format!("{name}={value}"))
            .collect()
    }

    #[test]
    fn every_count_is_in_its_column() {
        let text = statistics_csv(&rows());
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            cells(lines[1]).join(" "),
            "pxname=app svname=FRONTEND scur=1 smax=2 slim=500 stot=3 bin=5 bout=6 dreq=7 dresp=8 \
             ereq=11 status=OPEN pid=1 iid=7 sid=0 type=0 hrsp_1xx=17 hrsp_2xx=18 hrsp_3xx=19 \
             hrsp_4xx=20 hrsp_5xx=21 hrsp_other=22 req_tot=23 mode=http conn_tot=26 \
             intercepted=27 dcon=9 dses=10 -=-"
        );
        assert_eq!(
            cells(lines[2]).join(" "),
            "pxname=app svname=s1 qcur=0 qmax=4 scur=1 smax=2 slim=9 stot=3 bin=5 bout=6 dresp=8 \
             econ=12 eresp=13 wretr=14 wredis=15 status=no check weight=10 act=1 bck=0 lastchg=0 \
             pid=1 iid=7 sid=1 lbtot=16 type=2 hrsp_1xx=17 hrsp_2xx=18 hrsp_3xx=19 hrsp_4xx=20 \
             hrsp_5xx=21 hrsp_other=22 req_tot=23 cli_abrt=24 srv_abrt=25 lastsess=-1 \
             addr=10.0.0.1:80 cookie=\"c\"\"1\" mode=http uweight=10 -=-"
        );
        assert_eq!(
            cells(lines[5]).join(" "),
            "pxname=app svname=BACKEND qcur=0 qmax=4 scur=1 smax=2 stot=3 bin=5 bout=6 dreq=7 \
             dresp=8 econ=12 eresp=13 wretr=14 wredis=15 status=UP weight=10 act=1 bck=1 pid=1 \
             iid=7 sid=0 lbtot=16 type=1 hrsp_1xx=17 hrsp_2xx=18 hrsp_3xx=19 hrsp_4xx=20 \
             hrsp_5xx=21 hrsp_other=22 req_tot=23 cli_abrt=24 srv_abrt=25 lastsess=-1 mode=http \
             algo=roundrobin uweight=10 -=-"
        );
    }
}
