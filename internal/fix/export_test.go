package fix

// ObjectWithin is [Object] with a limit on the versions that it evaluates.
var ObjectWithin = object
