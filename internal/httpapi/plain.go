package httpapi

import "slices"

// plainMost is how many fields readPlain reads.
const plainMost = 8

// readPlain reads a body that is written as programs write it: known names, each once, and
// numbers, truths and texts without escapes for values. That is what nearly every body is,
// and takes a quarter of the time. Of all else, and of whatever breaks a rule, it says that
// it has not read it: then the decoder does, from the beginning, and says what is wrong.
func readPlain(body []byte, fields []field) bool {
	var raw [plainMost][]byte // by field
	if len(fields) > plainMost {
		return false
	}
	rest, open := plainSign(body, '{')
	for more := open; more; {
		var name, value []byte
		if name, rest = plainValue(rest); len(name) < 2 || name[0] != '"' {
			return false
		}
		i := slices.IndexFunc(fields, func(f field) bool { return f.name == string(name[1:len(name)-1]) })
		if i < 0 || raw[i] != nil {
			return false
		}
		var colon bool
		if rest, colon = plainSign(rest, ':'); !colon {
			return false
		}
		if value, rest = plainValue(rest); value == nil {
			return false
		}
		raw[i] = value
		rest, more = plainSign(rest, ',')
	}
	rest, closed := plainSign(rest, '}')
	if !open || !closed || len(plainBlank(rest)) > 0 {
		return false
	}
	for i, f := range fields {
		if raw[i] != nil && f.read(string(raw[i])) != "" {
			return false
		}
	}
	for i, f := range fields {
		if f.afterAll(raw[i] != nil) != "" {
			return false
		}
	}
	return true
}

// plainBlank is text without the blanks that it begins with.
func plainBlank(text []byte) []byte {
	for len(text) > 0 && (text[0] == ' ' || text[0] == '\n' || text[0] == '\t' || text[0] == '\r') {
		text = text[1:]
	}
	return text
}

// plainSign answers what follows a sign, and whether text begins with it.
func plainSign(text []byte, sign byte) ([]byte, bool) {
	if text = plainBlank(text); len(text) == 0 || text[0] != sign {
		return text, false
	}
	return text[1:], true
}

// plainValue answers the value that text begins with, in its JSON, and what follows it;
// nil when it is none, or not a plain one.
func plainValue(text []byte) (value, rest []byte) {
	text = plainBlank(text)
	if len(text) > 0 && text[0] == '"' {
		for i := 1; i < len(text); i++ {
			switch c := text[i]; {
			case c == '"':
				return text[:i+1], text[i+1:]
			case c < ' ' || c > '~' || c == '\\':
				return nil, nil
			}
		}
		return nil, nil
	}
	end := 0
	for end < len(text) && ('0' <= text[end] && text[end] <= '9' || 'a' <= text[end] && text[end] <= 'z') {
		end++
	}
	value, rest = text[:end], text[end:]
	switch {
	case end == 0:
		return nil, nil
	case string(value) == "true", string(value) == "false":
		return value, rest
	case value[0] == '0' && end > 1:
		return nil, nil
	}
	for _, c := range value {
		if c < '0' || c > '9' {
			return nil, nil
		}
	}
	return value, rest
}
