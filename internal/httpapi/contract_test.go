package httpapi

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/santhosh-tekuri/jsonschema/v6"
)

// contract is the document that the API shows of itself, as a judge: whatever the
// tests of this package ask and are answered over HTTP is held against it.
//
// kin-openapi reads the document, and judges parameters and headers. It would
// compile a schema anew for each body that it judges, and fall back to the rules of
// OpenAPI 3.0 where it cannot; so bodies go to the validator below it, which knows
// all of JSON Schema 2020-12, with each schema compiled once.
type contract struct {
	doc *openapi3.T

	mu       sync.Mutex
	compiler *jsonschema.Compiler
	compiled map[string]*jsonschema.Schema
	seen     map[string]bool // "code" and "METHOD /path status" that were answered
}

// law is the contract that every test is held to.
var law = sync.OnceValues(func() (*contract, error) { return newContract(openAPI) })

func newContract(raw []byte) (*contract, error) {
	doc, err := openapi3.NewLoader().LoadFromData(raw)
	if err != nil {
		return nil, err
	}
	if err := doc.Validate(context.Background(), openapi3.EnableExamplesValidation()); err != nil {
		return nil, err
	}
	whole, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	l := &contract{doc: doc, compiler: jsonschema.NewCompiler(), compiled: map[string]*jsonschema.Schema{}, seen: map[string]bool{}}
	l.compiler.DefaultDraft(jsonschema.Draft2020)
	l.compiler.AssertFormat()
	return l, l.compiler.AddResource("openapi.json", whole)
}

// exchange is a request and its answer.
type exchange struct {
	method string
	target *url.URL
	sent   http.Header
	body   string
	reply  reply
}

// operation finds what a method and path are of: the document's path, "" when there
// is none. A HEAD is the GET that it is short for.
func (l *contract) operation(method, path string) (string, *openapi3.Operation) {
	if method == http.MethodHead {
		method = http.MethodGet
	}
	asked := strings.Split(path, "/")
	for _, pattern := range slices.Backward(l.doc.Paths.InMatchingOrder()) { // the more literal one first
		parts := strings.Split(pattern, "/")
		if slices.EqualFunc(parts, asked, func(part, word string) bool { return part == word || strings.HasPrefix(part, "{") && word != "" }) {
			if o := l.doc.Paths.Value(pattern).GetOperation(method); o != nil {
				return pattern, o
			}
		}
	}
	return "", nil
}

// everywhere are headers that any answer may have, and that no operation tells again.
var everywhere = []string{"Cache-Control", "Connection", "Content-Length", "Content-Type", "Date", "Server", "Transfer-Encoding", "Vary",
	"X-Content-Type-Options", "Content-Security-Policy", "Referrer-Policy", "Cross-Origin-Resource-Policy", "Strict-Transport-Security",
	"Access-Control-Allow-Origin", "Access-Control-Expose-Headers"}

// judge answers what is wrong with x, and remembers what was answered.
func (l *contract) judge(x exchange) (wrong []string) {
	complain := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	if x.reply.header.Get("X-Content-Type-Options") != "nosniff" || x.reply.header.Get("Cache-Control") == "" {
		complain("the headers of every answer are missing: %v", x.reply.header)
	}
	pattern, o := l.operation(x.method, x.target.EscapedPath())
	if x.reply.header.Get("Content-Type") == problemType {
		wrong = append(wrong, l.judgeProblem(x, o)...)
	}
	if o == nil {
		return append(wrong, l.judgeOutside(x)...)
	}
	name, status := x.method+" "+pattern, strconv.Itoa(x.reply.status)
	said := o.Responses.Value(status)
	if said == nil {
		return append(wrong, fmt.Sprintf("%s does not answer %s: %.300s", name, status, x.reply.raw))
	}
	place := said.Ref
	if place == "" {
		place = "#/paths/" + escaped(pattern) + "/" + strings.ToLower(strings.Replace(x.method, "HEAD", "GET", 1)) + "/responses/" + status
	}
	wrong = append(wrong, l.judgeHeaders(x, pattern, o, said.Value)...)
	wrong = append(wrong, l.judgeBody(place, x, said.Value.Content)...)
	if x.reply.status < 300 {
		wrong = append(wrong, l.judgeRequest(x, pattern, o)...)
	}
	for i, text := range wrong {
		wrong[i] = name + " " + status + ": " + text
	}
	l.saw(name+" "+status, x.reply)
	return wrong
}

// saw remembers an answer and its code.
func (l *contract) saw(name string, r reply) {
	var problem struct{ Code string }
	_ = json.Unmarshal([]byte(r.raw), &problem) // what is no problem has no code
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen[name] = true
	if r.header.Get("Content-Type") == problemType {
		l.seen[problem.Code] = true
	}
}

// judgeOutside judges what answers where there is no operation.
func (l *contract) judgeOutside(x exchange) (wrong []string) {
	if x.reply.header.Get("Content-Type") != problemType {
		if strings.HasPrefix(x.target.Path, "/v1/") {
			return []string{fmt.Sprintf("%s %s is no operation, and answers %d %.300s", x.method, x.target, x.reply.status, x.reply.raw)}
		}
		return nil // a route of a test's own
	}
	if x.method != http.MethodHead {
		wrong = l.against("#/components/schemas/Problem", x.reply.raw)
	}
	codes, _ := l.doc.Extensions["x-outside"].([]any)
	if code := x.reply.text("code"); code != "" && strings.HasPrefix(x.target.Path, "/v1/") && !slices.Contains(codes, any(code)) {
		wrong = append(wrong, fmt.Sprintf("%s %s is no operation, and answers %s", x.method, x.target, code))
	}
	l.saw("outside", x.reply)
	return wrong
}

// judgeHeaders says which headers are missing, not told of, or not as they are told.
func (l *contract) judgeHeaders(x exchange, pattern string, o *openapi3.Operation, said *openapi3.Response) (wrong []string) {
	for name, header := range said.Headers {
		if header.Value.Required && len(x.reply.header[http.CanonicalHeaderKey(name)]) == 0 {
			wrong = append(wrong, "there is no header "+name)
		}
	}
	for name, values := range x.reply.header {
		told := slices.ContainsFunc(slices.Collect(maps.Keys(said.Headers)), func(n string) bool { return http.CanonicalHeaderKey(n) == name })
		if !told && !slices.Contains(everywhere, name) || len(values) > 1 {
			wrong = append(wrong, fmt.Sprintf("header %s: %q is not in the document", name, values))
		}
	}
	if cache := x.reply.header.Get("Cache-Control"); said.Headers["Cache-Control"] == nil && cache != "no-store" {
		wrong = append(wrong, "it may be kept: "+cache)
	}
	if err := openapi3filter.ValidateResponse(context.Background(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: l.input(x, pattern, o), Status: x.reply.status, Header: x.reply.header,
		Options: &openapi3filter.Options{ExcludeResponseBody: true, IncludeResponseStatus: true},
	}); err != nil {
		wrong = append(wrong, err.Error())
	}
	return wrong
}

// judgeBody holds an answer against its schema at place.
func (l *contract) judgeBody(place string, x exchange, content openapi3.Content) []string {
	media, _, _ := strings.Cut(x.reply.header.Get("Content-Type"), ";")
	switch told := content[media]; {
	case x.reply.raw == "" && (len(content) == 0 || x.method == http.MethodHead):
		return nil
	case told == nil:
		return []string{fmt.Sprintf("answers %q: %.300s", media, x.reply.raw)}
	case media == eventStreamType:
		return l.judgeStream(x.target.Path, x.reply.raw)
	case !strings.HasSuffix(media, "json"):
		return nil
	}
	return l.against(place+"/content/"+escaped(media)+"/schema", x.reply.raw)
}

// judgeRequest says what the document forbids in a request that was accepted.
func (l *contract) judgeRequest(x exchange, pattern string, o *openapi3.Operation) (wrong []string) {
	input := l.input(x, pattern, o)
	for name := range x.target.Query() {
		if o.Parameters.GetByInAndName("query", name) == nil {
			wrong = append(wrong, fmt.Sprintf("took the parameter %q", name))
		}
	}
	for _, parameter := range o.Parameters {
		if err := openapi3filter.ValidateParameter(context.Background(), input, parameter.Value); err != nil {
			wrong = append(wrong, "took "+err.Error())
		}
	}
	if o.RequestBody == nil || x.body == "" && !o.RequestBody.Value.Required {
		return wrong
	}
	if media, _, _ := strings.Cut(x.sent.Get("Content-Type"), ";"); !strings.EqualFold(strings.TrimSpace(media), "application/json") {
		wrong = append(wrong, fmt.Sprintf("took a body of %q", media))
	}
	for _, text := range l.against("#/paths/"+escaped(pattern)+"/"+strings.ToLower(x.method)+"/requestBody/content/application~1json/schema", x.body) {
		wrong = append(wrong, "took "+text)
	}
	return wrong
}

// input is x as kin-openapi wants it.
func (l *contract) input(x exchange, pattern string, o *openapi3.Operation) *openapi3filter.RequestValidationInput {
	params := map[string]string{}
	words := strings.Split(x.target.Path, "/")
	for i, part := range strings.Split(pattern, "/") {
		if strings.HasPrefix(part, "{") {
			params[strings.Trim(part, "{}")] = words[i]
		}
	}
	return &openapi3filter.RequestValidationInput{
		Request: &http.Request{Method: http.MethodGet, // of a HEAD it would judge nothing
			URL: x.target, Header: x.sent}, PathParams: params, QueryParams: x.target.Query(),
		Route: &routers.Route{Spec: l.doc, Path: pattern, PathItem: l.doc.Paths.Value(pattern), Method: x.method, Operation: o},
	}
}

// against holds a JSON text against the schema at place.
func (l *contract) against(place, text string) []string {
	l.mu.Lock()
	schema, known := l.compiled[place]
	var err error
	if !known {
		if schema, err = l.compiler.Compile("openapi.json" + place); err == nil {
			l.compiled[place] = schema
		}
	}
	l.mu.Unlock()
	if err != nil {
		return []string{err.Error()}
	}
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err == nil {
		err = schema.Validate(value)
	}
	if err != nil {
		return []string{fmt.Sprintf("%.300s: %v", text, err)}
	}
	return nil
}

// escaped is a name as a part of a JSON pointer.
func escaped(name string) string {
	return (&url.URL{Fragment: strings.NewReplacer("~", "~0", "/", "~1").Replace(name)}).EscapedFragment()
}

// lawful holds a request and its answer against the document.
func lawful(t testing.TB, request *http.Request, body string, r reply) {
	t.Helper()
	l, err := law()
	if err != nil {
		t.Error(err)
		return
	}
	for _, text := range l.judge(exchange{method: request.Method, target: request.URL, sent: request.Header, body: body, reply: r}) {
		t.Errorf("the document says otherwise: %s", text)
	}
}

// unseen answers what the document promises and no test has been answered: codes,
// and statuses of success.
func (l *contract) unseen() (all []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, code := range l.codes() {
		if !l.seen[code] {
			all = append(all, "code "+code)
		}
	}
	for pattern, item := range l.doc.Paths.Map() {
		for method, o := range item.Operations() {
			for status := range o.Responses.Map() {
				name := method + " " + pattern + " " + status
				if status < "400" && !l.seen[name] {
					all = append(all, name)
				}
			}
		}
	}
	slices.Sort(all)
	return all
}

// codes are those that the document explains.
func (l *contract) codes() (all []string) {
	for _, one := range l.doc.Components.Schemas["Code"].Value.OneOf {
		all = append(all, fmt.Sprint(one.Value.Const))
	}
	return all
}

// said makes a reply of an answer.
func said(answer *http.Response) (r reply, err error) {
	var raw []byte
	if answer.Header.Get("Content-Type") != eventStreamType { // it has no end
		raw, err = io.ReadAll(answer.Body)
	}
	r = reply{status: answer.StatusCode, header: answer.Header, raw: string(raw)}
	if err == nil && strings.Contains(answer.Header.Get("Content-Type"), "json") && bytes.HasPrefix(raw, []byte("{")) {
		decoder := json.NewDecoder(bytes.NewReader(raw))
		decoder.UseNumber()
		if err := decoder.Decode(&r.body); err != nil {
			return r, fmt.Errorf("%w in %q", err, raw)
		}
	}
	return r, err
}
