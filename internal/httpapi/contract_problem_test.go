package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// inside are words that only we know: none may stand in what a problem says of its
// own, beside the title of its code.
var inside = regexp.MustCompile(`(?i)postgres|pgx|sqlstate|redis|fiber|fasthttp|goroutine|panic|\.go\b|dial |connection|127\.0\.0\.1|0x[0-9a-f]{6}|context deadline|unexpected EOF|internal/`)

// judgeProblem says what is wrong with a problem beyond its schema. o is what was
// asked, nil when that is no operation.
func (l *contract) judgeProblem(x exchange, o *openapi3.Operation) (wrong []string) {
	var p document
	if err := json.Unmarshal([]byte(x.reply.raw), &p); err != nil {
		return nil // of a HEAD; or the schema has said so already
	}
	complain := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	header := x.reply.header
	if p.Status != x.reply.status || p.Title != answers[p.Code].title || p.Type != errorsPath+"#"+string(p.Code) {
		complain("%s is not as the table has it: %.300s", p.Code, x.reply.raw)
	}
	if p.RequestID != header.Get("X-Request-ID") {
		complain("the request is %q and %q", p.RequestID, header.Get("X-Request-ID"))
	}
	if after := header.Get("Retry-After"); (after == "") != (p.RetryAfterMS == 0) || after != "" && after != fmt.Sprint((p.RetryAfterMS+999)/1000) {
		complain("Retry-After is %q, retry_after_ms %d", after, p.RetryAfterMS)
	}
	said := p.Detail
	var sent map[string]any
	_ = json.Unmarshal([]byte(x.body), &sent) // what is no object has no fields
	for _, fault := range p.Errors {
		said += "\n" + fault.Detail
		if name, is := strings.CutPrefix(fault.Pointer, "#/"); is {
			name, _ = url.PathUnescape(name)
			name = strings.NewReplacer("~1", "/", "~0", "~").Replace(name)
			if _, there := sent[name]; !there && (o == nil || o.RequestBody == nil || !knows(o.RequestBody.Value.Content["application/json"].Schema.Value, name)) {
				complain("%q points at nothing", fault.Pointer)
			}
		}
		if name := fault.Parameter; name != "" && !x.target.Query().Has(name) && (o == nil || o.Parameters.GetByInAndName("query", name) == nil) {
			complain("there is no parameter %q", name)
		}
	}
	if found := inside.FindString(said); found != "" {
		complain("%q tells of our inside: %q", said, found)
	}
	return wrong
}

// knows says whether a body of this schema may have the field.
func knows(s *openapi3.Schema, name string) bool {
	if s.Properties[name] != nil {
		return true
	}
	return slices.ContainsFunc(slices.Concat(s.AllOf, s.OneOf, s.AnyOf), func(of *openapi3.SchemaRef) bool { return knows(of.Value, name) })
}

// TestProblemsAreJudged is the known-bad twin of judgeProblem.
func TestProblemsAreJudged(t *testing.T) {
	t.Parallel()
	l := lawOf(t)
	_, o := l.operation("POST", "/v1/sales/7/bids")
	judged := func(code code, more string, retry string) []string {
		x := exchange{method: "POST", target: &url.URL{Path: "/v1/sales/7/bids", RawQuery: "x=1"}, body: `{"gift~/":1}`, reply: reply{
			status: answers[code].status, header: http.Header{"X-Request-Id": {"a"}, "Content-Type": {problemType}},
			raw: fmt.Sprintf(`{"type":"/docs/errors#%s","title":%q,"status":%d,"code":"%s","instance":"/v1/sales/7/bids","request_id":"a"%s}`, code, answers[code].title, answers[code].status, code, more),
		}}
		if retry != "" {
			x.reply.header.Set("Retry-After", retry)
		}
		return l.judgeProblem(x, o)
	}
	for _, good := range [][3]string{
		{"closed", "", ""}, {"not_open", `,"retry_after_ms":1001`, "2"}, {"bad_query", `,"errors":[{"parameter":"x","detail":"is not known here"}]`, ""},
		{"invalid_fields", `,"errors":[{"pointer":"#/quantity","detail":"is missing"},{"pointer":"#/gift~0~1","detail":"is not known here"},{"pointer":"#","detail":"must have something"}]`, ""},
	} {
		if wrong := judged(code(good[0]), good[1], good[2]); len(wrong) > 0 {
			t.Errorf("%v: %q", good, wrong)
		}
	}
	for _, bad := range [][3]string{
		{"not_open", `,"retry_after_ms":1001`, "1"}, {"not_open", `,"retry_after_ms":1001`, ""}, {"not_open", "", "1"},
		{"closed", `,"title":"No."`, ""}, {"closed", `,"request_id":"b"`, ""}, {"closed", `,"type":"/docs/errors#opened"`, ""},
		{"internal", `,"detail":"dial tcp 10.0.0.7:5432"`, ""}, {"internal", `,"detail":"panic: index out of range"`, ""},
		{"invalid_fields", `,"errors":[{"pointer":"#/seats","detail":"is missing"}]`, ""}, {"invalid_fields", `,"errors":[{"pointer":"#/quantity","detail":"ERROR: value too long (SQLSTATE 22001)"}]`, ""},
		{"bad_query", `,"errors":[{"parameter":"y","detail":"is not known here"}]`, ""},
	} {
		if len(judged(code(bad[0]), bad[1], bad[2])) == 0 {
			t.Errorf("%v: nobody complains", bad)
		}
	}
}

// ofCrowds are the messages that are about no single request, but about a code under
// which many are refused.
var ofCrowds = []string{"shedding began", "shedding ended"}

// nameless answers the lines of a log that do not say which request they are about.
func nameless(log string) (all []string) {
	for line := range strings.Lines(log) {
		var said struct {
			RequestID string `json:"request_id"`
			Message   string
			Code      string
		}
		err := json.Unmarshal([]byte(line), &said)
		ofCrowd := slices.Contains(ofCrowds, said.Message) && said.Code != ""
		if err != nil || said.RequestID == "" && !ofCrowd {
			all = append(all, line)
		}
	}
	return all
}

// TestNamelessLinesAreFound is the known-bad twin.
func TestNamelessLinesAreFound(t *testing.T) {
	t.Parallel()
	log := `{"request_id":"a"}
{"level":"warn"}
no JSON
{"request_id":""}
{"message":"shedding began","code":"overloaded"}
{"message":"shedding began"}
{"message":"request","code":"overloaded"}
`
	if got := nameless(log); len(got) != 5 {
		t.Errorf("found %q", got)
	}
}
