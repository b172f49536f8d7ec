package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// tree is a JSON value that keeps the order of its fields.
type tree struct {
	name   string // as a field
	text   string // of a string, a number or a truth
	list   []*tree
	fields []*tree
	raw    []byte
}

// nowhere is what is not there, and nothing stands in it.
var nowhere = &tree{}

func (t *tree) there() bool { return t != nowhere }

// treeOf reads a document of our own.
func treeOf(raw []byte) (*tree, error) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	t, err := grow(decoder, raw)
	if err != nil {
		return nil, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the document")
	}
	return t, nil
}

func grow(decoder *json.Decoder, raw []byte) (*tree, error) {
	t := &tree{}
	token, err := decoder.Token()
	if err != nil {
		return nil, err
	}
	begin := decoder.InputOffset() - 1 // of an object or a list
	open, is := token.(json.Delim)
	if !is {
		t.text = fmt.Sprint(token)
		t.raw, err = json.Marshal(token)
		return t, err
	}
	for decoder.More() {
		name := ""
		if open == '{' {
			word, err := decoder.Token()
			if err != nil {
				return nil, err
			}
			name = fmt.Sprint(word)
		}
		one, err := grow(decoder, raw)
		if err != nil {
			return nil, err
		}
		one.name = name
		if open == '{' {
			t.fields = append(t.fields, one)
		} else {
			t.list = append(t.list, one)
		}
	}
	if _, err := decoder.Token(); err != nil {
		return nil, err
	}
	t.raw = raw[begin:decoder.InputOffset()]
	return t, nil
}

// at answers what stands under these names, one in the other; nowhere when nothing does.
func (t *tree) at(names ...string) *tree {
	for _, name := range names {
		i := slices.IndexFunc(t.fields, func(f *tree) bool { return f.name == name })
		if i < 0 {
			return nowhere
		}
		t = t.fields[i]
	}
	return t
}

// follow answers what t refers to, or t itself.
func (doc *tree) follow(t *tree) *tree {
	ref := t.at("$ref")
	if !ref.there() {
		return t
	}
	return doc.at(strings.Split(strings.TrimPrefix(ref.text, "#/"), "/")...)
}

// indented is a value as people read it: a text as it is.
func (t *tree) indented() string {
	if t.raw[0] == '"' {
		return t.text
	}
	var b bytes.Buffer
	_ = json.Indent(&b, t.raw, "", "  ") // it has been read before
	return b.String()
}
