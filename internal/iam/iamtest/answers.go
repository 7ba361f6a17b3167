package iamtest

import (
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Error returns an answer with an error in the XML format of IAM and STS.
func Error(status int, code, message string) Answer {
	return func(w http.ResponseWriter, r *http.Request) {
		kind, ns := "Sender", iamNamespace
		if status >= http.StatusInternalServerError {
			kind = "Receiver"
		}
		if stsActions[r.PostForm.Get("Action")] {
			ns = stsNamespace
		}
		writeXML(w, status, struct {
			XMLName   xml.Name `xml:"ErrorResponse"`
			Namespace string   `xml:"xmlns,attr"`
			Type      string   `xml:"Error>Type"`
			Code      string   `xml:"Error>Code"`
			Message   string   `xml:"Error>Message"`
			RequestID string   `xml:"RequestId"`
		}{Namespace: ns, Type: kind, Code: code, Message: message, RequestID: requestID})
	}
}

// AccessDenied returns the answer to a caller without permission.
func AccessDenied() Answer {
	return func(w http.ResponseWriter, r *http.Request) {
		Error(http.StatusForbidden, "AccessDenied", "User: "+Identity+" is not authorized to perform: iam:"+r.PostForm.Get("Action"))(w, r)
	}
}

// Throttled returns the answer to too many calls.
func Throttled() Answer { return Error(http.StatusBadRequest, "Throttling", "Rate exceeded") }

// Failed returns an internal error of AWS.
func Failed() Answer {
	return Error(http.StatusInternalServerError, "ServiceFailure", "The request processing has failed because of an unknown error")
}

// Expired returns the answer to expired temporary credentials.
func Expired() Answer {
	return Error(http.StatusForbidden, "ExpiredToken", "The security token included in the request is expired")
}

// Text returns an answer with any status and body.
func Text(status int, text string) Answer {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/xml")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
	}
}

// Hang returns an answer that never arrives. It ends when the server closes or when the client cancels the call.
func (s *Server) Hang() Answer {
	return func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-s.done:
		case <-r.Context().Done():
		}
	}
}

// HalfAnswer returns an answer that begins and then never ends.
func (s *Server) HalfAnswer() Answer {
	return func(w http.ResponseWriter, r *http.Request) {
		Text(http.StatusOK, "<GetRoleResponse><GetRoleResult><Role>")(w, r)
		_ = http.NewResponseController(w).Flush()
		s.Hang()(w, r)
	}
}

// Slow returns an answer that waits for d and then responds like AWS.
func (s *Server) Slow(d time.Duration) Answer {
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(d):
			s.ordinary(w, r)
		case <-s.done:
		case <-r.Context().Done():
		}
	}
}

const (
	iamNamespace = "https://iam.amazonaws.com/doc/2010-05-08/"
	stsNamespace = "https://sts.amazonaws.com/doc/2011-06-15/"
	requestID    = "11112222-3333-4444-5555-666677778888"
)

var stsActions = map[string]bool{"GetCallerIdentity": true, "AssumeRole": true, "AssumeRoleWithWebIdentity": true}

// writeXML writes an answer as XML. It panics if the answer can't be encoded as XML.
func writeXML(w http.ResponseWriter, status int, answer any) {
	text, err := xml.Marshal(answer)
	if err != nil {
		panic(fmt.Sprintf("iamtest: writing an answer: %v", err))
	}
	Text(status, xml.Header+string(text))(w, nil)
}
