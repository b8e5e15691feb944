-- Sessions for wrk: each has its own cookie, and expects its server to answer as long as
-- that lives. A connection of wrk's has no name here, so a session is told from others by
-- a field that the servers send back.
--
--     wrk -s session.lua http://HOST:PORT -- EVENTS
--
-- EVENTS are what the keeper has written; see src/bin/keeper.rs.

local ffi = require "ffi"
ffi.cdef [[
typedef struct { long seconds, microseconds; } clock_value;
int gettimeofday(clock_value *value, void *zone);
]]
local clock = ffi.new "clock_value"

local function now()
    ffi.C.gettimeofday(clock, nil)
    return tonumber(clock.seconds) * 1e6 + tonumber(clock.microseconds)
end

-- Lost requests take their session with them; there are enough.
local SESSIONS = 4096

local sessions, free, first, last = {}, {}, 1, 0
local events
moves = {}
answered, moved, moved_wrongly, strange, exhausted = 0, 0, 0, 0, 0

local function release(id)
    last = last + 1
    free[last] = id
end

function init(arguments)
    events = arguments[1]
    for id = 1, SESSIONS do
        sessions[id] = {}
        release(id)
    end
end

function request()
    local id = free[first]
    if not id then
        exhausted = exhausted + 1
        return wrk.format("GET", "/")
    end
    free[first] = nil
    first = first + 1
    local head = { "GET / HTTP/1.1\r\nHost: load\r\nX-Session: ", id, "\r\n" }
    if sessions[id].cookie then
        head[#head + 1] = "Cookie: " .. sessions[id].cookie .. "\r\n"
    end
    head[#head + 1] = "\r\n"
    return table.concat(head)
end

local function was_absent(server, from, to)
    local since
    for line in io.lines(events) do
        local at, what, name = line:match("^(%d+) (%a+) (%S+)$")
        if name == server then
            at = tonumber(at)
            if what == "down" then
                since = at
            elseif since then
                if since <= to and at >= from then return true end
                since = nil
            end
        end
    end
    return since ~= nil and since <= to
end

function response(status, headers, body)
    -- Another one is counted by wrk.
    if status ~= 200 then return end
    local id = tonumber(headers["x-session"])
    local session = id and sessions[id]
    if not session then
        strange = strange + 1
        return
    end
    answered = answered + 1
    local server, at = headers["x-server"], now()
    if session.server and session.server ~= server then
        moved = moved + 1
        if not was_absent(session.server, session.at, at) then
            moved_wrongly = moved_wrongly + 1
        end
    end
    session.server, session.at = server, at
    local cookie = headers["set-cookie"]
    if cookie then session.cookie = cookie:match("^[^;]*") end
    release(id)
end

local threads = {}

function setup(thread)
    threads[#threads + 1] = thread
end

function done(summary)
    local function sum(name)
        local total = 0
        for _, thread in ipairs(threads) do total = total + thread:get(name) end
        return total
    end
    local errors = summary.errors
    for _, one in ipairs {
        { "requests", summary.requests },
        { "lost_status", errors.status },
        { "lost_connect", errors.connect },
        { "lost_read", errors.read },
        { "lost_write", errors.write },
        { "lost_timeout", errors.timeout },
        { "mixed_up", sum "strange" },
        { "exhausted", sum "exhausted" },
        { "moved", sum "moved" },
        { "moved_wrongly", sum "moved_wrongly" },
    } do
        print(one[1] .. ": " .. one[2])
    end
end
