// Package check goes through the pages as people do: in Chromium, with a mouse and a
// keyboard, against the whole of Sluice in one process.
//
//	stage_test.go    Sluice, built from this tree, on servers of its own; may die and come back
//	person_test.go   somebody with a browser of his own: sees, clicks, types
//	witness_test.go  what a browser complains of: console, requests, policy
//	axe_test.go      axe-core, on every page, in light and dark, on a desk and on a phone
//	shop_test.go     what is on sale, made through the API
//
// Each other file is a journey, or what is measured. A journey names nothing by its markup:
// whoever it plays finds a button by what it says and a field by its label, or does not find
// it. bad_test.go shows each checker something bad.
//
// It is a module of its own, so that a browser's protocol is no business of Sluice's.
package check
