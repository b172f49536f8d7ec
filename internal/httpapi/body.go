package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gofiber/fiber/v2"
)

// field is one field that a body may have. read takes its raw JSON and answers
// the rule that it breaks, or "".
type field struct {
	name     string
	optional bool
	needed   func() bool          // asked when all is read: whether an optional one must be there after all
	barred   func() (rule string) // asked when all is read: "", or why it must not be there; then it is not missing either
	read     func(raw string) (rule string)
}

// faultsMost bounds how much longer than its body an answer can be.
const faultsMost = 20

// readObject reads the body, one JSON object, into fields. It is stricter than
// Unmarshal, since a body that two programs could read in two ways must not be
// half understood: no field twice, none unknown, names exactly as they are
// written here. All faults are answered at once.
func readObject(c *fiber.Ctx, fields ...field) error {
	if err := checkMedia(c); err != nil {
		return err
	}
	body := c.BodyRaw() // Body would unpack what is compressed, without any limit
	if readPlain(body, fields) {
		return nil
	}
	if !utf8.Valid(body) {
		return &problem{code: badJSON, detail: "it is not UTF-8"} // the decoder would read it as something else
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	faults, err := readFields(decoder, fields)
	var own *problem
	var syntax *json.SyntaxError
	switch {
	case err == nil && len(faults) > 0:
		return &problem{code: invalidFields, fields: faults}
	case err == nil, errors.As(err, &own):
		return err
	case errors.As(err, &syntax):
		return &problem{code: badJSON, detail: fmt.Sprintf("%s, at byte %d", syntax, syntax.Offset)}
	}
	return &problem{code: badJSON, detail: "it ends too early"}
}

func readFields(decoder *json.Decoder, fields []field) (faults []fieldFault, err error) {
	if start, err := decoder.Token(); err != nil {
		return nil, err
	} else if start != json.Delim('{') {
		return nil, &problem{code: badJSON, detail: "it must be an object"}
	}
	seen := map[string]bool{}
	for decoder.More() && len(faults) < faultsMost {
		name, err := decoder.Token()
		if err != nil {
			return nil, err
		}
		var raw json.RawMessage
		if err := decoder.Decode(&raw); err != nil {
			return nil, err
		}
		word := name.(string) // the decoder accepts nothing else as a key
		i := slices.IndexFunc(fields, func(f field) bool { return f.name == word })
		rule := "is not known here"
		switch {
		case seen[word]:
			rule = "must not be there twice"
		case i >= 0:
			rule = fields[i].read(string(raw))
		}
		if rule != "" {
			faults = append(faults, fieldFault{Pointer: pointer(word), Detail: rule})
		}
		seen[word] = true
	}
	if len(faults) == faultsMost {
		return faults, nil
	}
	if _, err := decoder.Token(); err != nil { // the closing brace
		return nil, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, &problem{code: badJSON, detail: "something follows the object"}
	}
	for _, f := range fields {
		if rule := f.afterAll(seen[f.name]); rule != "" {
			faults = append(faults, fieldFault{Pointer: pointer(f.name), Detail: rule})
		}
	}
	return faults, nil
}

// afterAll answers the rule that a field breaks by being there, or not, beside the
// others.
func (f field) afterAll(there bool) (rule string) {
	if f.barred != nil {
		if rule := f.barred(); rule != "" && there {
			return rule
		} else if rule != "" {
			return ""
		}
	}
	if !there && (!f.optional || f.needed != nil && f.needed()) {
		return "is missing"
	}
	return ""
}

// wholeBody is the JSON pointer to the whole object.
const wholeBody = "#"

// pointer is the JSON pointer to a top-level field, as a URI fragment.
func pointer(name string) string {
	word := strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
	return "#" + (&url.URL{Fragment: "/" + word}).EscapedFragment()
}

// checkMedia refuses a body that does not say it is plain JSON.
func checkMedia(c *fiber.Ctx) error {
	media, _, _ := strings.Cut(c.Get(fiber.HeaderContentType), ";")
	encoding := c.Get(fiber.HeaderContentEncoding)
	if !strings.EqualFold(strings.TrimSpace(media), fiber.MIMEApplicationJSON) || encoding != "" && !strings.EqualFold(encoding, "identity") {
		return &problem{code: badMediaType}
	}
	return nil
}
