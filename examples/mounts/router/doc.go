// Package router has one function for each router: it returns the site of a host, with routes and
// middleware as hosts of that router have them, and the API mounted below a prefix. The API gets
// every method and the whole path, and removes the prefix itself
// (middleware.StandardOptions.Prefix): the middleware of the router stays in front of it, and no
// router redirects, which SDKs would not follow.
package router

const welcome = "Welcome to the site.\n"
