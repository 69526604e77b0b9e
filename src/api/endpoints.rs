//! `GET /api/v4`, and how the table of routes becomes resources of the server.

use actix_web::{HttpRequest, HttpResponse, Resource, Responder, Route, guard, http::Method, web};
use serde::Serialize;

use super::{ApiError, ENDPOINTS, answer};

/// One row of the table of routes.
pub struct Endpoint {
    /// Below `/api/v4`, in the specification's form: parameters as `:name`.
    pub path: &'static str,
    /// The specification's name for it.
    pub name: &'static str,
    /// Method; GET stands for HEAD too.
    pub method: Method,
    /// What it does, in the specification's words.
    pub descr: &'static str,
    /// The handler.
    pub route: fn() -> Route,
}

/// The list of endpoints itself, which the list does not hold.
pub static LIST: Endpoint = Endpoint {
    path: "",
    name: "list_endpoints",
    method: Method::GET,
    descr: "",
    route: || web::to(list),
};

/// An endpoint as the list shows it.
#[derive(Serialize)]
struct Row {
    path: &'static str,
    name: &'static str,
    method: &'static str,
    descr: &'static str,
}

async fn list() -> impl Responder {
    let rows: Vec<Row> = ENDPOINTS
        .iter()
        .map(|endpoint| Row {
            path: endpoint.path,
            name: endpoint.name,
            method: endpoint.method.as_str(),
            descr: endpoint.descr,
        })
        .collect();
    answer::data(rows)
}

/// The answer where there is no route.
pub async fn unknown_path(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    Err(ApiError::UnknownPath(request.path().to_owned()))
}

/// The server's patterns for the path of an endpoint: with and without a slash at its end.
pub fn paths(path: &str) -> Vec<String> {
    let pattern: String = path
        .split('/')
        .filter(|segment| !segment.is_empty())
        .map(|segment| match segment.strip_prefix(':') {
            Some(name) => format!("/{{{name}}}"),
            None => format!("/{segment}"),
        })
        .collect();
    vec![format!("{pattern}/"), pattern]
}

/// The resource of endpoints that have one path; it answers other methods with 405.
pub fn resource(patterns: Vec<String>, endpoints: &[&'static Endpoint]) -> Resource {
    let allow: Vec<&str> = endpoints
        .iter()
        .map(|endpoint| allowed(&endpoint.method))
        .collect();
    let allow = allow.join(", ");
    let refuse = move || {
        let allow = allow.clone();
        async move { Err::<HttpResponse, _>(ApiError::MethodNotAllowed { allow }) }
    };
    let mut resource = web::resource(patterns).default_service(web::to(refuse));
    for endpoint in endpoints {
        let route = (endpoint.route)();
        resource = resource.route(match endpoint.method {
            Method::GET => route.guard(guard::Any(guard::Get()).or(guard::Head())),
            ref other => route.method(other.clone()),
        });
    }
    resource
}

fn allowed(method: &Method) -> &str {
    match *method {
        Method::GET => "GET, HEAD",
        ref other => other.as_str(),
    }
}
